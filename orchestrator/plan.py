"""Plan: a study expanded into the distinct units of work and the table that they fill.

Every grid point of the search space is a Variant (a row), trained once a seed; attacks and transfers are
columns. Axes of training and of evaluation are apart: a TrainingSpec is trained once, however many cells ask
for it, and an EvaluationSpec is run once, however many cells show it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from orchestrator.settings import canonical, flatten, nest
from orchestrator.store import Store
from orchestrator.study import CLEAN, SCALES, Grid, Study
from trainables.data import resolve
from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.specs import AttackSpec, EvaluationSpec, TrainingSpec, attack_spec, explain

Point = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """A dotted key, the values that the study gives it, and what they vary: training or evaluation."""

    key: str
    values: tuple[Any, ...]
    phase: str


@dataclass(frozen=True)
class Variant:
    """A row: one point of the search space; `models` maps a seed to its TrainingSpec's fingerprint."""

    label: str
    settings: Mapping[str, Any]
    models: Mapping[int, str]


@dataclass(frozen=True)
class Plan:
    """What a study needs. `layout[variant label, column, seed]` names the evaluation of that cell."""

    study: Study
    scale: str
    overrides: Mapping[str, Any]
    seeds: tuple[int, ...]
    axes: tuple[Axis, ...]
    variants: tuple[Variant, ...]
    baseline: str | None
    columns: tuple[str, ...]
    attacks: Mapping[str, AttackSpec]
    trainings: Mapping[str, TrainingSpec] = field(repr=False)
    evaluations: Mapping[str, EvaluationSpec] = field(repr=False)
    layout: Mapping[tuple[str, str, int], str] = field(repr=False)

    @property
    def slug(self) -> str:
        """A name for this plan's reports and MLflow run: the study's, unless settings were changed."""
        name = self.study.name if self.scale == "quick" else f"{self.study.name}-{self.scale}"
        if not self.overrides and self.seeds == tuple(self.study.seeds):
            return name
        settings = json.dumps([self.overrides, self.seeds], sort_keys=True)
        return f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"

    def attack_of(self, column: str) -> AttackSpec | None:
        """Return the attack of a column; None for the clean one."""
        if column in self.study.transfers:
            column = self.study.transfers[column].attack
        return self.attacks.get(column)


@dataclass(frozen=True)
class Remainder:
    """What of a plan the store lacks, and what it has."""

    trainings: tuple[TrainingSpec, ...]
    evaluations: tuple[EvaluationSpec, ...]
    trained: frozenset[str]
    evaluated: frozenset[str]

    @property
    def is_empty(self) -> bool:
        return not self.trainings and not self.evaluations

    @property
    def fingerprints(self) -> frozenset[str]:
        """What is left to run."""
        return frozenset({s.fingerprint for s in self.trainings} | {s.fingerprint for s in self.evaluations})


def remainder(plan: Plan, store: Store) -> Remainder:
    """Compare a plan with a store, in one listing of the store a kind."""
    trained = store.fingerprints("checkpoints") & set(plan.trainings)
    evaluated = store.fingerprints("records") & set(plan.evaluations)
    return Remainder(
        tuple(spec for f, spec in plan.trainings.items() if f not in trained),
        tuple(spec for f, spec in plan.evaluations.items() if f not in evaluated),
        frozenset(trained),
        frozenset(evaluated),
    )


def expand(
    study: Study,
    *,
    scale: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
) -> Plan:
    """Expand a study into a Plan; raise InputError for settings that are wrong, before anything runs."""
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    overrides = {canonical(key): value for key, value in (overrides or {}).items()}
    if "seeds" in overrides or "seed" in overrides:
        raise InputError("seeds are no setting: use --seeds 0,1,2")
    settings = _canonical(study.base) | _canonical(study.scales.get(scale, {})) | overrides
    seeds = _checked_seeds(seeds or settings.pop("seeds", study.seeds))
    settings.pop("seeds", None)
    examples = _checked(_positive, settings.pop("examples", study.examples), "examples")
    attacks = _attacks(study, {k: settings.pop(k) for k in list(settings) if k.startswith("attack.")})

    grids = [_canonical(grid) for grid in study.space]
    _check_keys(settings, grids, study)
    grids, settings = _apply_to_grids(settings, grids)
    points = [dict(zip(g, values, strict=True)) for g in grids for values in itertools.product(*g.values())]
    variants, trainings = _variants(points, settings, seeds)
    layout, evaluations = _evaluations(study, variants, trainings, attacks, examples)
    return Plan(
        study=study,
        scale=scale,
        overrides=overrides,
        seeds=seeds,
        axes=_axes(points, attacks),
        variants=tuple(variants),
        baseline=_select(study.baseline, variants, trainings) if study.baseline else None,
        columns=(CLEAN, *attacks, *study.transfers),
        attacks=attacks,
        trainings=trainings,
        evaluations=evaluations,
        layout=layout,
    )


def _canonical(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {canonical(key): value for key, value in settings.items()}


def _checked_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"seeds must be distinct integers >= 0, got {list(seeds)}")
    return tuple(seeds)


def _positive(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise InputError(f"must be an integer >= 1, got {value!r}")
    return value


def _checked(build: Callable[[Any], Any], value: Any, within: str = "") -> Any:
    """Build a value; turn what is wrong with it into an InputError that names where it stands."""
    prefix = f"{within}: " if within else ""
    try:
        return build(value)
    except ValidationError as error:
        raise InputError(prefix + explain(error)) from None
    except InputError as error:
        raise InputError(prefix + str(error)) from None


def _attacks(study: Study, settings: Mapping[str, Any]) -> dict[str, AttackSpec]:
    attacks = {column: spec.model_dump() for column, spec in study.attacks.items()}
    for key, value in settings.items():
        _, _, rest = key.partition(".")
        column, _, leaf = rest.partition(".")
        if column not in attacks:
            raise unknown("attack of this study", column, attacks)
        if not leaf:
            raise InputError(f"an attack's key is attack.<column>.<field>, got {key!r}")
        attacks[column][leaf] = value
    return {column: _checked(attack_spec, spec, f"attack.{column}") for column, spec in attacks.items()}


def _check_keys(settings: Mapping[str, Any], grids: Iterable[Grid], study: Study) -> None:
    """Refuse a key that no TrainingSpec of the study has."""
    names = {name for scope in (settings, *grids) for name in _values(scope.get("defense.name", ()))}
    spec = TrainingSpec.model_validate({"defense": "none"}).model_dump(exclude={"seed"})
    known = set(flatten(spec)) - {"dataset.digest"}
    known |= {f"defense.{leaf}" for name in names for leaf in _config_keys(name)}
    for key in (key for scope in (settings, *grids) for key in scope):
        if key not in known:
            attack_keys = {f"attack.{c}.{leaf}" for c, a in study.attacks.items() for leaf in type(a).model_fields}
            raise unknown("key", key, known | attack_keys | {"examples"})


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _config_keys(defense: str) -> set[str]:
    if defense not in DEFENSES:
        raise unknown("defense", defense, DEFENSES)
    return set(DEFENSES[defense].Config.model_fields)


def _concerns(key: str, point: Mapping[str, Any]) -> bool:
    """Whether a setting concerns a point: a defense's key concerns only the defenses that have it."""
    if not key.startswith("defense."):
        return True
    names = _values(point.get("defense.name", "none"))
    return any(key.removeprefix("defense.") in _config_keys(name) for name in names)


def _apply_to_grids(
    settings: Mapping[str, Any], grids: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let settings act on the grids; return these and the settings that are left for every point.

    A defense keeps the grids that name it. A setting on another axis takes the axis's place. A list of values
    for a key that holds one value is a new axis.
    """
    left: dict[str, Any] = {}
    for key, value in settings.items():
        is_list = isinstance(value, list) and not _holds_sequence(key)
        wanted = tuple(value) if is_list else (value,)
        if not wanted:
            raise InputError(f"{key}: a grid needs at least one value, got []")
        if key == "defense.name" and any(key in grid for grid in grids):
            grids = [grid | {key: (name,)} for name in wanted for grid in _naming(grids, name)]
        elif any(key in grid for grid in grids):
            grids = [grid | {key: wanted} if key in grid else grid for grid in grids]
        elif is_list:
            grids = [g | {key: wanted} if _concerns(key, {**settings, **g}) else g for g in grids]
        else:
            left[key] = value
    return grids, left


def _naming(grids: list[dict[str, Any]], defense: str) -> list[dict[str, Any]]:
    """Return the grids that name a defense; a new one for a defense that none names."""
    return [g for g in grids if defense in g.get("defense.name", ())] or [{"defense.name": (defense,)}]


def _holds_sequence(key: str) -> bool:
    values = flatten(TrainingSpec.model_validate({"defense": "none"}).model_dump())
    return isinstance(values.get(key), tuple)


def _variants(
    points: list[Point], settings: Mapping[str, Any], seeds: tuple[int, ...]
) -> tuple[list[Variant], dict[str, TrainingSpec]]:
    variants: dict[tuple[str, ...], Variant] = {}
    trainings: dict[str, TrainingSpec] = {}
    for point in points:
        asked = {**settings, **point}
        mine = {key: value for key, value in asked.items() if key in point or _concerns(key, asked)}
        spec: TrainingSpec = _checked(TrainingSpec.model_validate, nest(mine))
        spec = spec.model_copy(update={"dataset": resolve(spec.dataset)})
        by_seed = {seed: spec.model_copy(update={"seed": seed}) for seed in seeds}
        models = {seed: s.fingerprint for seed, s in by_seed.items()}
        trainings |= {s.fingerprint: s for s in by_seed.values()}
        variants.setdefault(tuple(models.values()), Variant(_label(spec, point), point, models))
    return list(variants.values()), trainings


def _label(spec: TrainingSpec, point: Point) -> str:
    settings = [f"{key.rpartition('.')[2]}={as_text(v)}" for key, v in point.items() if key != "defense.name"]
    return " ".join([spec.defense.name, *settings])


def as_text(value: Any) -> str:
    """Write a setting's value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def _select(
    settings: Mapping[str, Any], variants: Iterable[Variant], trainings: Mapping[str, TrainingSpec]
) -> str | None:
    """Return the label of the first variant whose spec agrees with all the settings, if there is one."""
    wanted = _canonical(settings)
    for variant in variants:
        spec = flatten(trainings[next(iter(variant.models.values()))].model_dump())
        if all(spec.get(key) == value for key, value in wanted.items()):
            return variant.label
    return None


def _evaluations(
    study: Study,
    variants: list[Variant],
    trainings: Mapping[str, TrainingSpec],
    attacks: Mapping[str, AttackSpec],
    examples: int | None,
) -> tuple[dict[tuple[str, str, int], str], dict[str, EvaluationSpec]]:
    cells: dict[tuple[str, str, int], EvaluationSpec] = {}
    for variant in variants:
        for seed, model in variant.models.items():
            cells[variant.label, CLEAN, seed] = EvaluationSpec(model=model, examples=examples)
            for column, attack in attacks.items():
                cells[variant.label, column, seed] = EvaluationSpec(
                    model=model, attack=attack, examples=examples, seed=seed
                )
    for column, transfer in study.transfers.items():
        label = _select(transfer.source, variants, trainings)
        source = next((v for v in variants if v.label == label), None)
        if source is None:
            continue
        for variant in variants:
            for seed, model in variant.models.items():
                other = _source_seed(seed, tuple(variant.models), is_source=variant is source)
                if other is not None:
                    cells[variant.label, column, seed] = EvaluationSpec(
                        model=model,
                        source=source.models[other],
                        attack=attacks[transfer.attack],
                        examples=examples,
                        seed=other,
                    )
    return {cell: spec.fingerprint for cell, spec in cells.items()}, {s.fingerprint: s for s in cells.values()}


def _source_seed(seed: int, seeds: tuple[int, ...], *, is_source: bool) -> int | None:
    """A target meets the source of its own seed; the source itself meets its next seed, if it has one."""
    if not is_source:
        return seed
    return seeds[(seeds.index(seed) + 1) % len(seeds)] if len(seeds) > 1 else None


def _axes(points: list[Point], attacks: Mapping[str, AttackSpec]) -> tuple[Axis, ...]:
    keys = dict.fromkeys(key for point in points for key in point)
    training = [Axis(k, tuple(dict.fromkeys(p[k] for p in points if k in p)), "training") for k in keys]
    return (*training, *(Axis(f"attack.{c}.eps", a.eps, "evaluation") for c, a in attacks.items()))
