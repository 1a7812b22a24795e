"""NetworkSpec: which network, and how wide."""

from __future__ import annotations

from pydantic import (
    Field,
    PositiveInt,
)

from trainables.values import Frozen


class NetworkSpec(Frozen):
    """Which network; `width` is the number of filters of its first layer (None: the network's own)."""

    name: str = "cnn3"
    width: PositiveInt | None = Field(
        None, description="filters of the first layer; the others scale with it; null: the network's own"
    )
