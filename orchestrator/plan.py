"""Plan: a study expanded into the distinct units of work and the table that they fill.

Every grid point of the search space is a Variant (a row), trained once a seed; attacks and transfers are
columns. Axes of training and of evaluation are apart: a TrainingSpec is trained once, however many cells ask
for it, and an EvaluationSpec is run once, however many cells show it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from orchestrator.grids import (
    DEFENSE,
    Point,
    apply_to_grids,
    check_keys,
    concerns,
    hashable,
    is_inference,
    points_of,
    with_whole_keys,
)
from orchestrator.settings import flatten, nest
from orchestrator.store import Store
from orchestrator.study import CLEAN, SCALES, Study
from trainables.data import resolve
from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.specs import (
    AttackSpec,
    EvaluationSpec,
    Frozen,
    MeasureSpec,
    TrainingSpec,
    attack_spec,
    explain,
    measure_spec,
)

SEEDS = ("seed", "seeds")
Split = Literal["test", "validation"]
SpecT = TypeVar("SpecT", bound=Frozen)
Cell = tuple[str, str, int]  # a row's label, a column and a seed


@dataclass(frozen=True)
class Axis:
    """A dotted key, the values that the study gives it, and what they vary: training or evaluation."""

    key: str
    values: tuple[Any, ...]
    phase: str


@dataclass(frozen=True)
class Variant:
    """A row: one point of the search space.

    `models` maps a seed to its TrainingSpec's fingerprint; rows that differ in `inference` alone share models.
    """

    label: str
    settings: Mapping[str, Any]
    models: Mapping[int, str]
    inference: Mapping[str, Any]

    @property
    def inference_label(self) -> str:
        """What tells the row from others of its models: its settings at test time, as the label writes them."""
        return " ".join(f"{k.rpartition('.')[2]}={as_text(v)}" for k, v in self.settings.items() if is_inference(k))


@dataclass(frozen=True)
class Plan:
    """What a study needs. `layout[variant label, column, seed]` names the evaluation of that cell.

    `sources[variant label, column]` is the label of the row on which a transfer's examples are crafted.

    `asked` is how the user names the study.
    `baselines` maps each row's label to that of the row it is compared with; a baseline's own is its label.
    """

    study: Study
    asked: str
    scale: str
    overrides: Mapping[str, Any]
    seeds: tuple[int, ...]
    axes: tuple[Axis, ...]
    variants: tuple[Variant, ...]
    baselines: Mapping[str, str]
    columns: tuple[str, ...]
    attacks: Mapping[str, AttackSpec]
    measures: Mapping[str, MeasureSpec]
    trainings: Mapping[str, TrainingSpec] = field(repr=False)
    evaluations: Mapping[str, EvaluationSpec] = field(repr=False)
    layout: Mapping[tuple[str, str, int], str] = field(repr=False)
    sources: Mapping[tuple[str, str], str] = field(repr=False)

    @property
    def slug(self) -> str:
        """A name for this plan's reports and MLflow run: the study's, unless settings were changed."""
        name = self.study.name if self.scale == "quick" else f"{self.study.name}-{self.scale}"
        if not self.overrides and self.seeds == self.own_seeds:
            return name
        settings = json.dumps([self.overrides, self.seeds], sort_keys=True)
        return f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"

    @property
    def own_seeds(self) -> tuple[int, ...]:
        """The seeds that the study has at this scale, before the user's."""
        return tuple(own_seeds_of(self.study, self.scale))

    @property
    def identity(self) -> str:
        """Hash of the evaluations: another plan of the same name, as of an edited study, has another."""
        return hashlib.sha256(json.dumps(sorted(self.evaluations)).encode()).hexdigest()[:20]

    @property
    def craftings(self) -> frozenset[str]:
        """What transfers are judged on: a source's examples, crafted once however many targets meet them."""
        return frozenset(spec.crafting_fingerprint for spec in self.evaluations.values() if spec.source)

    def name_of(self, model: str) -> str:
        """Name a model as its rows are labelled, less what varies at test time."""
        variant = next(v for v in self.variants if model in v.models.values())
        return variant.label.removesuffix(variant.inference_label).rstrip()

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


def only_failed(rest: Remainder, store: Store) -> Remainder:
    """Return what of a remainder was tried and failed, and the evaluations that a failed training kept from running."""
    failed = store.fingerprints("failures")
    return replace(
        rest,
        trainings=tuple(spec for spec in rest.trainings if spec.fingerprint in failed),
        evaluations=tuple(spec for spec in rest.evaluations if spec.fingerprint in failed),
    )


@dataclass(frozen=True)
class Settings:
    """A study's settings at one scale, before its axes: `changes` are the scale's, then the user's, for any key."""

    base: Mapping[str, Any]
    changes: Mapping[str, Any]
    attacks: Mapping[str, AttackSpec]
    measures: Mapping[str, MeasureSpec]
    examples: int | None


def settings_of(study: Study, *, scale: str, overrides: dict[str, Any]) -> Settings:
    """Lay the scale's and the user's settings over a study; raise InputError for those that are wrong.

    Keys of `overrides` are written out.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    _refuse_seeds(study.base, overrides)
    of_scale = {k: v for k, v in with_whole_keys(study.scales.get(scale, {})).items() if k not in {"seeds", *overrides}}
    changes = of_scale | overrides  # in this order, for a pattern of attacks' columns gives way to what comes after it
    examples = _checked(_positive, changes.pop("examples", study.examples), "examples")
    attacks = _columns_set("attack", study.attacks, changes, attack_spec)
    measures = _columns_set("measure", study.measures, changes, measure_spec)
    return Settings(with_whole_keys(study.base), changes, attacks, measures, examples)


def expand(
    study: Study,
    *,
    scale: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    asked: str = "",
    split: Split = "test",
) -> Plan:
    """Expand a study into a Plan; `asked` is how the user named it, if not by its name.

    `split`: the examples that are evaluated. Raise InputError for settings that are wrong, before anything runs.
    """
    overrides = with_whole_keys(overrides or {})
    grids = [{key: hashable(values) for key, values in with_whole_keys(grid).items()} for grid in study.space]
    _refuse_seeds(*grids)
    given = settings_of(study, scale=scale, overrides=overrides)
    base, changes = given.base, given.changes
    seeds = checked_seeds(own_seeds_of(study, scale) if seeds is None else seeds)

    check_keys(base, changes, grids, study)
    grids, settings = apply_to_grids(base, changes, grids)
    points = points_of(grids, settings, study.design)
    variants, trainings = _variants(points, settings, seeds)
    _check_views(given, variants, trainings, asked={key for key in overrides if key.endswith(".view")})
    said = _said_of(variants, trainings)
    sources = _sources(study, variants, trainings, said)
    cells = _own_cells(variants, trainings, given, split) | _transfers(study, variants, sources, given, split)
    layout = {cell: spec.fingerprint for cell, spec in cells.items()}
    return Plan(
        study=study,
        asked=asked or study.name,
        scale=scale,
        overrides=overrides,
        seeds=seeds,
        axes=_axes(points, given.attacks),
        variants=tuple(variants),
        baselines=_baselines(study, variants, said),
        columns=_columns(study, layout),
        attacks=given.attacks,
        measures=given.measures,
        trainings=trainings,
        evaluations={layout[cell]: spec for cell, spec in cells.items()},
        layout=layout,
        sources={cell: source.label for cell, source in sources.items()},
    )


def own_seeds_of(study: Study, scale: str) -> Any:
    """Return the seeds that a study has at a scale, unchecked."""
    return study.scales.get(scale, {}).get("seeds", study.seeds)


def _refuse_seeds(*scopes: Iterable[str]) -> None:
    if any(key in scope for scope in scopes for key in SEEDS):
        raise InputError("seeds are no setting and no axis: use --seeds 0,1,2 or the study's seeds=(0, 1, 2)")


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


def _checked(build: Callable[[Any], Any], value: Any, within: str = "") -> Any:
    """Build a value; turn what is wrong with it into an InputError that names where it stands."""
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
    """Return a study's attacks or measures under the changes `<kind>.<column>.<field>`, which are taken out.

    They are laid over them one after the other; a pattern such as `*_linf` is every column that it matches and that
    has the field.
    """
    values = {column: spec.model_dump() for column, spec in columns.items()}
    for key in [key for key in changes if key.startswith(f"{kind}.")]:
        value = changes.pop(key)
        column, _, leaf = key.removeprefix(f"{kind}.").partition(".")
        if not (matching := fnmatch.filter(values, column)):
            raise unknown(f"{kind} of this study", column, values)
        if not leaf:
            raise InputError(f"settings of {kind}s are {kind}.<column>.<field>, got {key!r}")
        for name in [c for c in matching if leaf in values[c]] or matching:
            one_of_many = isinstance(values[name].get(leaf), tuple) and not isinstance(value, list | tuple)
            values[name][leaf] = (value,) if one_of_many else value
    return {column: _checked(build, spec, f"{kind}.{column}") for column, spec in values.items()}


def _variants(
    points: list[Point], settings: Mapping[str, Any], seeds: tuple[int, ...]
) -> tuple[list[Variant], dict[str, TrainingSpec]]:
    variants: dict[tuple[str, ...], Variant] = {}
    trainings: dict[str, TrainingSpec] = {}
    for point in points:
        spec, inference = _specs_of({**settings, **point})
        by_seed = {seed: spec.model_copy(update={"seed": seed}) for seed in seeds}
        models = {seed: s.fingerprint for seed, s in by_seed.items()}
        identity = (*models.values(), json.dumps(inference, sort_keys=True))
        if identity not in variants:
            label = _label(spec, point, taken={v.label for v in variants.values()})
            variants[identity] = Variant(label, point, models, inference)
            trainings |= {s.fingerprint: s for s in by_seed.values()}
    return list(variants.values()), trainings


def _specs_of(settings: Mapping[str, Any]) -> tuple[TrainingSpec, dict[str, Any]]:
    """Return a point's TrainingSpec and its defense's settings at test time, all of them written out."""
    nested = nest({key: value for key, value in settings.items() if concerns(key, settings)})
    asked = nested.pop("inference", {})
    spec: TrainingSpec = _checked(TrainingSpec.model_validate, nested)
    inference = _checked(DEFENSES[spec.defense.name].Inference.model_validate, asked, "inference")
    return spec.model_copy(update={"dataset": resolve(spec.dataset)}), inference.model_dump(mode="json")


def _label(spec: TrainingSpec, point: Point, taken: Collection[str]) -> str:
    """Name a row by its defense and the last words of its keys, or by whole keys where another row has that name."""
    keys = sorted((key for key in point if key != DEFENSE), key=is_inference)  # what varies at test time comes last
    settings = {key.removesuffix(".name"): as_text(point[key]) for key in keys}
    short = " ".join([spec.defense.name, *(f"{key.rpartition('.')[2]}={text}" for key, text in settings.items())])
    return short if short not in taken else " ".join([spec.defense.name, *(f"{k}={t}" for k, t in settings.items())])


def as_text(value: Any) -> str:
    """Write a setting's value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def _first_spec(variant: Variant, trainings: Mapping[str, TrainingSpec]) -> TrainingSpec:
    """Return a row's spec with its first seed; but for the seed, the others are the same."""
    return trainings[next(iter(variant.models.values()))]


def _said_of(variants: Sequence[Variant], trainings: Mapping[str, TrainingSpec]) -> dict[str, dict[str, Any]]:
    """Return every setting of each row, by its label: dotted keys, those at test time too."""
    settings = {v.label: {**_first_spec(v, trainings).model_dump(), "inference": v.inference} for v in variants}
    return {label: {k: hashable(value) for k, value in flatten(nested).items()} for label, nested in settings.items()}


def _select(
    settings: Mapping[str, Any], variants: Sequence[Variant], said: Mapping[str, Mapping[str, Any]], row: Variant
) -> Variant | None:
    """Return the variant to compare a row with: of those that have all the settings, the one most like the row."""
    wanted = {key: hashable(value) for key, value in with_whole_keys(settings).items()}
    found = [v for v in variants if all(said[v.label].get(key) == value for key, value in wanted.items())]

    def likeness(variant: Variant) -> int:
        return len(said[variant.label].items() & said[row.label].items())

    return max(found, key=likeness, default=None)


def _baselines(study: Study, variants: Sequence[Variant], said: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    if not study.baseline and study.design != "grid":
        return {variant.label: variants[0].label for variant in variants}
    if not study.baseline:
        return {}
    found = {v.label: _select(study.baseline, variants, said, v) for v in variants}
    return {label: baseline.label for label, baseline in found.items() if baseline is not None}


def _sources(
    study: Study,
    variants: Sequence[Variant],
    trainings: Mapping[str, TrainingSpec],
    said: Mapping[str, Mapping[str, Any]],
) -> dict[tuple[str, str], Variant]:
    """Return the row that crafts for each row and transfer; none where it would be of other data than the row's."""
    found = {}
    for column, transfer in study.transfers.items():
        for variant in variants:
            source = _select(transfer.source, variants, said, variant)
            if source is not None and _share_data(source, variant, trainings):
                found[variant.label, column] = source
    return found


def _check_views(
    given: Settings,
    variants: Iterable[Variant],
    trainings: Mapping[str, TrainingSpec],
    *,
    asked: Collection[str],
) -> None:
    """Refuse a view that no defense has, and one that was asked for and no row has."""
    known = {view for defense in DEFENSES.values() for view in defense.views}
    here = {view for variant in variants for view in _views(variant, trainings)}
    attacked = {f"attack.{column}": attack.views for column, attack in given.attacks.items()}
    for key, views in (attacked | {f"measure.{c}": {measure.view} for c, measure in given.measures.items()}).items():
        for view in sorted(views - (here if f"{key}.view" in asked else known)):
            raise InputError(f"{key}: {unknown('view', view, here)}")


def _views(variant: Variant, trainings: Mapping[str, TrainingSpec]) -> frozenset[str]:
    return DEFENSES[_first_spec(variant, trainings).defense.name].views


def _columns(study: Study, layout: Iterable[tuple[str, str, int]]) -> tuple[str, ...]:
    """Return the columns in the study's order, less attacks and measures of views that no row has."""
    filled = {CLEAN, *study.transfers, *(column for _, column, _ in layout)}
    return tuple(c for c in (CLEAN, *study.attacks, *study.transfers, *study.measures) if c in filled)


def _own_cells(
    variants: Iterable[Variant], trainings: Mapping[str, TrainingSpec], given: Settings, split: Split
) -> dict[Cell, EvaluationSpec]:
    """Return what is asked of each row by itself: clean, under each attack that it meets, by each measure."""
    cells: dict[Cell, EvaluationSpec] = {}
    for variant in variants:
        views = _views(variant, trainings)
        for seed, model in variant.models.items():
            ask = partial(
                EvaluationSpec, model=model, inference=variant.inference, examples=given.examples, split=split
            )
            cells[variant.label, CLEAN, seed] = ask()
            for column, attack in given.attacks.items():
                if (met := attack.seen_through(views)) is not None:
                    cells[variant.label, column, seed] = ask(attack=met, seed=seed)
            for column, measure in given.measures.items():
                if measure.view in views:
                    cells[variant.label, column, seed] = ask(measure=measure, seed=seed)
    return cells


def _transfers(
    study: Study,
    variants: Iterable[Variant],
    sources: Mapping[tuple[str, str], Variant],
    given: Settings,
    split: Split,
) -> dict[Cell, EvaluationSpec]:
    """Return what is asked of each row on its sources' examples."""
    cells: dict[Cell, EvaluationSpec] = {}
    by_label = {variant.label: variant for variant in variants}
    for (label, column), source in sources.items():
        target = by_label[label]
        for seed, model in target.models.items():
            other = _source_seed(seed, tuple(target.models), is_source=model in source.models.values())
            if other is not None:
                cells[label, column, seed] = EvaluationSpec(
                    model=model,
                    inference=target.inference,
                    source=source.models[other],
                    source_inference=source.inference,
                    attack=given.attacks[study.transfers[column].attack],
                    split=split,
                    examples=given.examples,
                    seed=other,
                )
    return cells


def _share_data(source: Variant, target: Variant, trainings: Mapping[str, TrainingSpec]) -> bool:
    """Whether two rows see the same test images, so that examples of one mean anything to the other."""
    one, other = (_first_spec(v, trainings).dataset for v in (source, target))
    return one.key == other.key


def _source_seed(seed: int, seeds: tuple[int, ...], *, is_source: bool) -> int | None:
    """A target meets the source of its own seed; the source itself meets its next seed, if it has one."""
    if not is_source:
        return seed
    return seeds[(seeds.index(seed) + 1) % len(seeds)] if len(seeds) > 1 else None


def _axes(points: list[Point], attacks: Mapping[str, AttackSpec]) -> tuple[Axis, ...]:
    values: dict[str, dict[str, Any]] = {}
    for key, value in (item for point in points for item in point.items()):
        values.setdefault(key, {})[as_text(value)] = value
    training = [Axis(key, tuple(each.values()), _phase(key)) for key, each in values.items()]
    return (*training, *(Axis(f"attack.{c}.eps", a.eps, "evaluation") for c, a in attacks.items()))


def _phase(key: str) -> str:
    return "evaluation" if is_inference(key) else "training"
