"""The space of a search: a study's ranges under the user's settings, and the plans of the points drawn from them.

Pure: `searching.search` draws the points, `searching.objectives` says what a point is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.planning.cells import Split
from orchestrator.planning.grids import alternatives, check_keys
from orchestrator.planning.keys import DEFENSE, Point, concerns, hashable, values_of, with_whole_keys
from orchestrator.planning.layers import checked_seeds, own_seeds_of, settings_of
from orchestrator.planning.plan import Plan, expand
from search_spaces.study import FloatRange, Grid, IntRange, SearchRange, Study
from trainables.errors import InputError

DIGITS = 3  # significant digits of a number that is drawn: labels stay short, and near points are one
POSITIONS = (0.0, 0.37, 1.0)  # of a range, that are tried before a search: its ends, and an odd place between them
UNSEARCHED = ("dataset", "attack", "examples")


@dataclass(frozen=True)
class SearchSpace:
    """A study's ranges, with everything else settled: `study` has one scale, whose settings are in its base."""

    study: Study
    ranges: Mapping[str, SearchRange]
    seeds: tuple[int, ...]

    def draw(self, choose: Callable[[str, SearchRange], Any]) -> Point:
        """Let `choose` give each key's value: the defense's first, then those that concern it."""
        point: Point = {}
        for key in sorted(self.ranges, key=lambda key: key != DEFENSE):
            if concerns(key, {**self.study.base, **point}):
                value = choose(key, self.ranges[key])
                point[key] = float(f"{value:.{DIGITS}g}") if isinstance(self.ranges[key], FloatRange) else value
        return point

    @property
    def metric(self) -> str:
        """What a mean score is called."""
        return self.plan(self.corners()).judge.metric

    def plan(self, points: Sequence[Point], *, split: Split = "validation") -> Plan:
        """Return the plan of points, a row each, with the search's seeds; InputError for a point that makes no spec."""
        return expand(with_rows(self.study, points), seeds=self.seeds, split=split)

    def corners(self) -> list[Point]:
        """Return points that cover every choice and the ends of every range, with every defense."""
        defenses = values_of(self.ranges.get(DEFENSE, self.study.base.get(DEFENSE, "none")))
        choices = [len(r) for key, r in self.ranges.items() if isinstance(r, tuple) and key != DEFENSE]
        return [self.draw(_at(turn, name)) for name in defenses for turn in range(max(len(POSITIONS), *choices, 0))]


def search_space(study: Study, *, scale: str, overrides: Mapping[str, Any], seeds: Sequence[int] | None) -> SearchSpace:
    """Settle a study's search space; raise InputError if it has none, or settings are wrong.

    A range replaces the base's and the scale's setting. The user's setting replaces a range; a list for a key that
    holds one value is a choice. `seeds` are each point's (default: the study's first).
    """
    overrides = with_whole_keys(overrides)
    ranges: dict[str, SearchRange] = dict(with_whole_keys(study.search))
    given = settings_of(study, scale=scale, overrides=overrides)
    _check_ranges(study, ranges, given.base, given.changes)
    base = dict(given.base)
    for key, value in given.changes.items():
        is_choice, wanted = alternatives(key, hashable(value))
        if key in ranges and key not in overrides:
            continue
        if is_choice:
            ranges[key] = wanted
        else:
            ranges.pop(key, None)
            (base[key],) = wanted
    base = {key: value for key, value in base.items() if key not in ranges}
    names = ranges.get(DEFENSE, base.get(DEFENSE, "none"))
    ranges = {key: values for key, values in ranges.items() if concerns(key, {**base, DEFENSE: names})}
    if not ranges:
        raise InputError(
            f"study {study.name!r} has nothing to search: its `search` must give ranges over dotted keys that are not "
            "set otherwise, for example search={'optimisation.lr': FloatRange(low=1e-4, high=1e-2, log=True)}"
        )
    own = checked_seeds(own_seeds_of(study, scale))
    settled = study.model_copy(
        update={
            "base": base,
            "search": {},
            "attacks": given.attacks,
            "measures": given.measures,
            "examples": given.examples,
            "seeds": own,
            "scales": {},
        }
    )
    return SearchSpace(settled, ranges, own[:1] if seeds is None else checked_seeds(seeds))


def with_rows(study: Study, points: Sequence[Mapping[str, Any]]) -> Study:
    """Return a study with these rows alone, without settings of its base that apply to none of them."""
    base, points = study.base, [with_whole_keys(point) for point in points]
    rows: list[Grid] = [{key: (value,) for key, value in point.items()} for point in points]
    kept = {k: v for k, v in base.items() if any(concerns(k, {**base, **point}) for point in points)}
    return study.model_copy(update={"base": kept, "space": tuple(rows), "design": "grid"})


def _check_ranges(
    study: Study, ranges: Mapping[str, SearchRange], base: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    for key in ranges:
        if key.partition(".")[0] in UNSEARCHED:
            raise InputError(f"search: {key} cannot be searched: all points are judged by the same data and attacks")
    if isinstance(ranges.get(DEFENSE), FloatRange | IntRange):
        raise InputError(f"search: {DEFENSE} must be a choice among names, got {ranges[DEFENSE]}")
    defenses = ranges.get(DEFENSE, base.get(DEFENSE, "none"))
    check_keys(base, changes, [{**dict.fromkeys(ranges, ()), DEFENSE: defenses}], study)


def _at(turn: int, defense: str) -> Callable[[str, SearchRange], Any]:
    def choose(key: str, values: SearchRange) -> Any:
        if key == DEFENSE:
            return defense
        if isinstance(values, tuple):
            return values[turn % len(values)]
        value = values.low + POSITIONS[turn % len(POSITIONS)] * (values.high - values.low)
        return round(value) if isinstance(values, IntRange) else value

    return choose


def ranges_as_text(ranges: Mapping[str, SearchRange]) -> Iterator[tuple[str, str]]:
    """Yield each key and its range in words."""
    for key, values in ranges.items():
        if isinstance(values, tuple):
            yield key, ", ".join(map(str, values))
        else:
            log = ", log" if values.log else ""
            yield key, f"{values.kind} in [{values.low:g}, {values.high:g}]{log}"
