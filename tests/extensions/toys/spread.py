"""A measure: how much the outputs differ from image to image."""

from typing import Literal

from pydantic import Field

from trainables.images import as_float
from trainables.measures import Measure, MeasureSpec


class SpreadSpec(MeasureSpec):
    """The standard deviation of the first output."""

    name: Literal["spread"] = "spread"
    images: int = Field(32, ge=2, description="how many images are looked at")


def _spread(view, images, labels, *, spec, judge, seed):
    return {"deviation": view(as_float(images[: spec.images]))[:, 0].std().numpy()}


SPREAD = Measure(SpreadSpec, _spread, judges=None)
