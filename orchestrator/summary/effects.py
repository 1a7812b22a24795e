"""The effect of each factor of a study on the score: paired differences, within a seed and with all else equal.

The effect of a factor's level is the score at that level minus the score at the factor's first level. It is averaged
 over all settings of the other factors for which the study has both levels, then over seeds, with a confidence
interval (Student's t over seeds). In a full grid this is the main effect; in a one-at-a-time design it is the effect
around the centre. The interaction of two factors of two levels is how much the effect of one changes with the other:
(y11 - y01) - (y10 - y00), averaged likewise.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.planning.rows import Variant
from orchestrator.planning.wording import as_text
from orchestrator.summary.aggregate import Column, Summary

CONFIDENCE = 0.95
Sign = int
Contrast = tuple[tuple[Sign, str], ...]  # row labels, each with the sign that its accuracy enters the sum with


@dataclass(frozen=True)
class Effect:
    """A factor's effect or two factors' interaction: the mean over `contrasts`, one for each setting of the others."""

    name: str
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds and its confidence interval, which takes at least two seeds."""

    mean: float
    low: float | None
    high: float | None
    n: int


def factor_effects(summary: Summary) -> tuple[Effect, ...]:
    """Return the effects and interactions that a study's rows determine; none for a study without a factor."""
    variants = summary.plan.variants
    factors = {axis.key: axis.values for axis in summary.plan.axes if axis.key in _varied(variants)}
    alone = (_effect(key, values, level, variants) for key, values in factors.items() for level in values[1:])
    pairs = itertools.combinations([(k, v) for k, v in factors.items() if len(v) == 2], 2)
    together = (_interaction(one, other, variants) for one, other in pairs)
    return tuple(effect for effect in (*alone, *together) if effect.contrasts)


def interval(summary: Summary, effect: Effect, column: Column) -> Interval | None:
    """Return an effect on the accuracy in a column; None if no seed has all of the rows it takes."""
    by_seed = [_in_seed(summary, effect, column, seed) for seed in summary.plan.seeds]
    values = [value for value in by_seed if value is not None]
    if not values:
        return None
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, None, None, 1)
    from scipy.stats import t as student  # slow to import, and `plan` needs none of it

    half = student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def _varied(variants: Iterable[Variant]) -> set[str]:
    return {key for variant in variants for key in variant.settings}


def _effect(key: str, values: Sequence[Any], level: Any, variants: Sequence[Variant]) -> Effect:
    name = f"{key}: {as_text(level)} against {as_text(values[0])}"
    found = (_rows(variants, context, [{key: level}, {key: values[0]}]) for context in _contexts(variants, {key}))
    return Effect(name, tuple(((1, rows[0]), (-1, rows[1])) for rows in found if rows))


def _interaction(
    one: tuple[str, Sequence[Any]], other: tuple[str, Sequence[Any]], variants: Sequence[Variant]
) -> Effect:
    (a, (a0, a1)), (b, (b0, b1)) = one, other
    corners = [{a: a1, b: b1}, {a: a0, b: b1}, {a: a1, b: b0}, {a: a0, b: b0}]
    found = (_rows(variants, context, corners) for context in _contexts(variants, {a, b}))
    return Effect(f"{a} x {b}", tuple(tuple(zip((1, -1, -1, 1), rows, strict=True)) for rows in found if rows))


def _contexts(variants: Iterable[Variant], keys: set[str]) -> list[Mapping[str, Any]]:
    """Return the distinct settings of the other factors, among the rows that set all of `keys`."""
    contexts: list[Mapping[str, Any]] = []
    for variant in variants:
        context = {k: v for k, v in variant.settings.items() if k not in keys}
        if keys <= set(variant.settings) and context not in contexts:
            contexts.append(context)
    return contexts


def _rows(
    variants: Iterable[Variant], context: Mapping[str, Any], levels: Iterable[Mapping[str, Any]]
) -> list[str] | None:
    """Return the label of the row at each of `levels` in a context; None if one of these rows does not exist."""
    by_settings = [(variant.settings, variant.label) for variant in variants]
    found = [[label for s, label in by_settings if s == {**context, **level}] for level in levels]
    return [labels[0] for labels in found] if all(found) else None


def _in_seed(summary: Summary, effect: Effect, column: Column, seed: int) -> float | None:
    sums = []
    for contrast in effect.contrasts:
        tallies = [(sign, summary.cells[label, column].tallies.get(seed)) for sign, label in contrast]
        if any(tally is None for _, tally in tallies):
            return None
        sums.append(sum(sign * tally.score for sign, tally in tallies if tally))
    return statistics.fmean(sums)
