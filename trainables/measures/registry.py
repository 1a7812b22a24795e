"""TODO: one line."""

from __future__ import annotations

from typing import Any

from trainables.errors import InputError
from trainables.measures.spec import MeasureSpec
from trainables.registry import _from_registry

MEASURES: dict[str, Any] = {}  # filled by `trainables.measures`


def measure_spec(value: object) -> MeasureSpec:
    """Build the MeasureSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    built = _from_registry("measure", value, {name: measure.Spec for name, measure in MEASURES.items()})
    if not isinstance(built, MeasureSpec):
        raise InputError(f"a measure must be a mapping with a name, got {value!r}")
    return built
