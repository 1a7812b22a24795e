"""Measures by name, and what a measure offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainables.attacks.criterion import CLASSES
from trainables.errors import InputError
from trainables.measures.spec import MeasureSpec
from trainables.registry import Registry, names_of

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Measure:
    """A measure's settings and `of(view, images, labels, *, spec, judge, seed) -> Values`.

    `of` meets uint8 images [N, C, H, W], labels [N, ...] and a view that is held still. A value is a number (shape ()),
    a number for each example (float [N]), a yes or no for each example (bool [N]) or a matrix. Random
    numbers come from `seed` or the global RNG. `judges` names the judges whose kind of answer it is for (None: any).
    """

    Spec: type[MeasureSpec]
    of: Callable[..., Values]
    judges: frozenset[str] | None = CLASSES


MEASURES: Registry[Measure] = Registry(
    "measure", "measures", needs=names_of(Measure), config_of=lambda measure: measure.Spec
)


def measure_spec(value: object) -> MeasureSpec:
    """Build the MeasureSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    built = MEASURES.build(value)
    if not isinstance(built, MeasureSpec):
        raise InputError(f"a measure must be a mapping with a name, got {value!r}")
    return built
