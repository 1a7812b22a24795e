"""A study's settings at one scale: the scale's laid over the study's, and the user's over both."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.planning.keys import with_whole_keys
from search_spaces.study import SCALES, Study
from trainables.attacks.spec import AttackSpec
from trainables.attacks.suite import check_sets_nothing_in_vain
from trainables.errors import InputError, not_in, unknown
from trainables.measures.spec import MeasureSpec
from trainables.specs import attack_spec, measure_spec
from trainables.values import Frozen, explain

SEEDS = ("seed", "seeds")
SpecT = TypeVar("SpecT", bound=Frozen)


@dataclass(frozen=True)
class Settings:
    """A study's settings at one scale, before its axes: `changes` are the scale's and the user's, for any key."""

    base: Mapping[str, Any]
    changes: Mapping[str, Any]
    attacks: Mapping[str, AttackSpec]
    measures: Mapping[str, MeasureSpec]
    examples: int | None


def settings_of(study: Study, *, scale: str, overrides: dict[str, Any]) -> Settings:
    """Lay the scale's and the user's settings over a study; raise InputError for wrong ones.

    Keys of `overrides` must be written out, as `with_whole_keys` does.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    refuse_seeds(study.base, overrides)
    of_scale = {k: v for k, v in with_whole_keys(study.scales.get(scale, {})).items() if k not in {"seeds", *overrides}}
    changes = of_scale | overrides  # in this order: a later change wins over an earlier pattern
    examples = validated(_positive, changes.pop("examples", study.examples), "examples")
    attacks = _columns_set("attack", study.attacks, changes, attack_spec)
    for column, attack in attacks.items():
        validated(check_sets_nothing_in_vain, attack, f"attack.{column}")
    measures = _columns_set("measure", study.measures, changes, measure_spec)
    return Settings(with_whole_keys(study.base), changes, attacks, measures, examples)


def own_seeds_of(study: Study, scale: str) -> Any:
    """Return the seeds that a study has at a scale, unchecked."""
    return study.scales.get(scale, {}).get("seeds", study.seeds)


def refuse_seeds(*scopes: Iterable[str]) -> None:
    if any(key in scope for scope in scopes for key in SEEDS):
        raise InputError("seeds cannot be set as a key or an axis: use --seeds 0,1,2 or the study's seeds=(0, 1, 2)")


def checked_seeds(seeds: Any) -> tuple[int, ...]:
    """Return seeds as a tuple; raise InputError unless they are distinct integers >= 0."""
    is_list = isinstance(seeds, Sequence) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not is_list or not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds must be distinct integers >= 0, got {seeds}")
    return tuple(seeds)


def _positive(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise InputError(f"must be an integer >= 1, got {value!r}")
    return value


def validated(build: Callable[[Any], Any], value: Any, within: str = "") -> Any:
    """Build a value; turn its validation errors into an InputError that begins with `within`."""
    prefix = f"{within}: " if within else ""
    try:
        return build(value)
    except ValidationError as error:
        raise InputError(prefix + explain(error)) from None
    except InputError as error:
        raise InputError(prefix + str(error)) from None


def _columns_set(
    kind: str, columns: Mapping[str, SpecT], changes: dict[str, Any], build: Callable[[Any], SpecT]
) -> dict[str, SpecT]:
    """Return a study's attacks or measures after the changes `<kind>.<column>.<field>`, which are taken out.

    The changes apply one after the other; a pattern such as `*_linf` stands for every column that it matches and
    that has the field.
    """
    values = {column: spec.model_dump() for column, spec in columns.items()}
    for key in [key for key in changes if key.startswith(f"{kind}.")]:
        value = changes.pop(key)
        column, _, leaf = key.removeprefix(f"{kind}.").partition(".")
        if not (matching := fnmatch.filter(values, column)):
            raise not_in(f"this study has no {kind}", column, values)
        if not leaf:
            raise InputError(f"settings of {kind}s are {kind}.<column>.<field>, got {key!r}")
        for name in [c for c in matching if leaf in values[c]] or matching:
            one_of_many = isinstance(values[name].get(leaf), tuple) and not isinstance(value, list | tuple)
            values[name][leaf] = (value,) if one_of_many else value
    return {column: validated(build, spec, f"{kind}.{column}") for column, spec in values.items()}
