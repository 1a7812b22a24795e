"""MeasureSpec: what is measured of a model, as a study names it."""

from __future__ import annotations

from pydantic import (
    Field,
)

from trainables.values import Frozen


class MeasureSpec(Frozen):
    """What is measured of a model beside its answers; each measure declares its own subclass."""

    name: str
    view: str = Field("default", description="the view of the defense that is measured")
