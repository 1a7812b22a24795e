"""A study's search space: keys checked, settings laid over its grids, and the points that come out.

All of this is about dotted keys and values; `planning.rows` makes specs of the points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from orchestrator.planning.keys import (
    DEFENSE,
    SHORTHANDS,
    Point,
    concerns,
    defense_fields,
    fields_below,
    flatten,
    hashable,
    values_of,
    with_whole_keys,
)
from search_spaces.study import Study
from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.specs import TrainingSpec


def check_keys(
    base: Mapping[str, Any], changes: Mapping[str, Any], grids: Sequence[Mapping[str, Any]], study: Study
) -> None:
    """Raise InputError for a key that no spec of the study has, or an axis of a defense that its grid does not name."""
    selectors = [with_whole_keys(s) for s in (study.baseline, *(t.source for t in study.transfers.values()))]
    scopes = (base, changes, *grids, *selectors)
    names = [name for scope in scopes for name in values_of(scope.get(DEFENSE, ()))]
    spec = TrainingSpec.model_validate({"defense": "none"}).model_dump(exclude={"seed"})
    known = set(flatten(spec)) - {"dataset.digest"}
    known |= {key for name in names for key in defense_fields(name)}
    for key in (key for scope in scopes for key in scope):
        if key not in known:
            raise _unknown_key(key, known, study)
    for grid in grids:
        for key in grid:
            if not concerns(key, asked := {**changes, **base, **grid}):
                raise InputError(f"{key} must be a setting of its grid's defense, got {asked.get(DEFENSE, 'none')!r}")


def _unknown_key(key: str, known: Iterable[str], study: Study) -> InputError:
    """Return the error for an unknown key, with the known keys of its section (default: all keys)."""
    if key == "examples" or key.startswith(("attack.", "measure.")):
        return InputError(
            f"{key} is no axis of training: set `examples`, `attacks` and `measures` in the study or in a scale"
        )
    section = [k for k in known if k.startswith(f"{key.partition('.')[0]}.")]
    evaluation = [f"attack.{c}.<field>" for c in study.attacks] + [f"measure.{c}.<field>" for c in study.measures]
    return unknown("key", key, section or [*known, *SHORTHANDS, *evaluation, "examples"])


def apply_to_grids(
    base: Mapping[str, Any], changes: Mapping[str, Any], grids: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Apply the changes to the grids; return the grids, and the settings that all points share.

    A change of the defense keeps the grids that name it. One value holds in every grid and replaces the key's axis. A
    list of values replaces the axis, or adds one if no grid has it.
    """
    if DEFENSE in base and any(DEFENSE in grid for grid in grids):
        grids = [{DEFENSE: (base[DEFENSE],)} | grid for grid in grids]
    settings = dict(base)
    for key, value in sorted(changes.items(), key=lambda item: item[0] != DEFENSE):  # it decides on the grids
        is_axis, wanted = alternatives(key, hashable(value))
        if not is_axis:
            (settings[key],) = wanted
        if key == DEFENSE and any(key in grid for grid in grids):
            grids = [grid | {key: (name,)} for name in wanted for grid in _naming(grids, name)]
        elif any(key in grid for grid in grids):
            grids = [grid | {key: wanted} if key in grid else grid for grid in grids]
        elif is_axis:
            grids = [grid | {key: wanted} for grid in grids]
    return grids, settings


def alternatives(key: str, value: Any) -> tuple[bool, tuple[Any, ...]]:
    """Return whether a setting is an axis, and its values; an axis of a key that holds a list is a list of lists."""
    annotations = _annotations(key)
    if not isinstance(value, tuple):
        return False, ((value,) if value is not None and any(map(_is_sequence, annotations)) else value,)
    if any(map(_allows_sequence, annotations)) and not any(isinstance(v, tuple) for v in value):
        return False, (value,)
    if not value:
        raise InputError(f"{key}: a grid needs at least one value, got []")
    return True, value


def points_of(
    grids: Iterable[Mapping[str, tuple[Any, ...]]], settings: Mapping[str, Any], design: str = "grid"
) -> list[Point]:
    """Return the points of each grid that a design asks for, each without settings of other defenses."""
    points = (point for grid in grids for point in DESIGNS[design](grid))
    return [{key: value for key, value in p.items() if concerns(key, {**settings, **p})} for p in points]


def _product(grid: Mapping[str, tuple[Any, ...]]) -> Iterator[Point]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _around(centre: Point, grid: Mapping[str, tuple[Any, ...]]) -> Iterator[Point]:
    """Yield the centre, then every change of one factor."""
    yield centre
    for key, values in grid.items():
        yield from ({**centre, key: value} for value in values if value != centre[key])


DESIGNS: dict[str, Callable[[Mapping[str, tuple[Any, ...]]], Iterator[Point]]] = {
    "grid": _product,
    "one_at_a_time": lambda grid: _around({key: values[0] for key, values in grid.items()}, grid),
    "leave_one_out": lambda grid: _around({key: values[-1] for key, values in grid.items()}, grid),
}


def _naming(grids: list[dict[str, Any]], defense: str) -> list[dict[str, Any]]:
    """Return the grids that name a defense; a new grid if none does."""
    return [g for g in grids if defense in g.get("defense.name", ())] or [{"defense.name": (defense,)}]


def _annotations(key: str) -> list[Any]:
    """Return the types of a key, in a TrainingSpec and in every defense that has it."""
    scopes = [fields_below(TrainingSpec), *map(defense_fields, DEFENSES)]
    return [fields[key] for fields in scopes if key in fields]


def _allows_sequence(annotation: Any) -> bool:
    """Whether a single value may be a list, such as the milestones of a schedule or a range of eps."""
    return get_origin(annotation) is tuple or any(map(_allows_sequence, get_args(annotation)))


def _is_sequence(annotation: Any) -> bool:
    """Whether a single value must be a list, or None."""
    if get_origin(annotation) in (UnionType, Union):
        return all(map(_is_sequence, (a for a in get_args(annotation) if a is not type(None))))
    return get_origin(annotation) is tuple
