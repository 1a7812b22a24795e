"""DatasetSpec: which images, and how they are split."""

from __future__ import annotations

import json
from typing import Any

from pydantic import (
    Field,
    PositiveInt,
)

from trainables.values import Frozen


class DatasetSpec(Frozen):
    """Which images, how they are split and at what size; see `trainables.data.datasets` for the names."""

    name: str = Field("digits", description="digits, the name of a torchvision dataset, or parquet:<folder>")
    digest: str = Field("", description="hash of a parquet folder's files, filled in by the planner")
    image_size: PositiveInt | None = Field(
        None, description="resize to this many pixels a side; null: the dataset's default"
    )
    train_examples: PositiveInt | None = Field(None, description="use the first n after the split; null: all")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="share of the training data held out")

    @property
    def key(self) -> str:
        """Name this dataset among those that a sweep shares: by its content, whatever its path."""
        return json.dumps(self.identity, sort_keys=True)

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that determine the images: a folder counts by its content, not by its path."""
        values = self.model_dump(mode="json")
        if self.digest:
            values["name"] = self.name.partition(":")[0]
        return values
