"""The cells of a plan's table: which evaluation is asked of each row under each column, for each seed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Literal

from orchestrator.planning.layers import Settings
from orchestrator.planning.rows import Variant, first_spec
from search_spaces.study import CLEAN, Study
from trainables.attacks import CRITERIA
from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.measures import MEASURES
from trainables.specs import EvaluationSpec, TrainingSpec

Split = Literal["test", "validation"]
CellKey = tuple[str, str, int]  # a row's label, a column and a seed


def check_views(
    given: Settings,
    variants: Iterable[Variant],
    trainings: Mapping[str, TrainingSpec],
    *,
    asked: Collection[str],
) -> None:
    """Raise InputError for a view that no defense has, and for one that the user set and no row has."""
    known = {view for defense in DEFENSES.imported().values() for view in defense.views}
    here = {view for variant in variants for view in _views(variant, trainings)}
    attacked = {f"attack.{column}": attack.views for column, attack in given.attacks.items()}
    for key, views in (attacked | {f"measure.{c}": {measure.view} for c, measure in given.measures.items()}).items():
        for view in sorted(views - (here if f"{key}.view" in asked else known)):
            raise InputError(f"{key}: {unknown('view', view, here)}")


def check_judges(given: Settings, trainings: Mapping[str, TrainingSpec]) -> None:
    """Raise InputError if rows are scored by different judges, or an attack or a measure is for another judge."""
    datasets = {spec.judge_name: spec.dataset.name for spec in trainings.values()}
    if len(datasets) > 1:
        pairs = ", ".join(f"{dataset} ({judge})" for judge, dataset in datasets.items())
        raise InputError(f"all rows of a study must be scored by one judge, got datasets {pairs}")
    ((judge, dataset),) = datasets.items()
    for column, attack in given.attacks.items():
        for name in sorted(attack.criteria):
            _check_is_for(f"attack.{column}: loss {name}", CRITERIA[name].judges, judge, dataset)
    for column, measure in given.measures.items():
        _check_is_for(f"measure.{column}: measure {measure.name}", MEASURES[measure.name].judges, judge, dataset)


def _check_is_for(what: str, judges: Collection[str] | None, judge: str, dataset: str) -> None:
    if judges is not None and judge not in judges:
        raise InputError(f"{what} is for {' or '.join(sorted(judges))}, got dataset {dataset}, which is for {judge}")


def _views(variant: Variant, trainings: Mapping[str, TrainingSpec]) -> frozenset[str]:
    return DEFENSES[first_spec(variant, trainings).defense.name].views


def filled_columns(study: Study, layout: Iterable[CellKey]) -> tuple[str, ...]:
    """Return the columns in the study's order, without attacks and measures whose view no row has."""
    filled = {CLEAN, *study.transfers, *(column for _, column, _ in layout)}
    return tuple(c for c in (CLEAN, *study.attacks, *study.transfers, *study.measures) if c in filled)


def own_cells(
    variants: Iterable[Variant], trainings: Mapping[str, TrainingSpec], given: Settings, split: Split
) -> dict[CellKey, EvaluationSpec]:
    """Return the cells of each row alone: clean, under each attack that applies to it, by each measure."""
    cells: dict[CellKey, EvaluationSpec] = {}
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


def transfer_cells(
    study: Study,
    variants: Iterable[Variant],
    sources: Mapping[tuple[str, str], Variant],
    given: Settings,
    split: Split,
) -> dict[CellKey, EvaluationSpec]:
    """Return the cells of each row on the examples of its transfer sources."""
    cells: dict[CellKey, EvaluationSpec] = {}
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


def _source_seed(seed: int, seeds: tuple[int, ...], *, is_source: bool) -> int | None:
    """Return the source's seed for a target's: the same one; for the source itself its next seed, if it has one."""
    if not is_source:
        return seed
    return seeds[(seeds.index(seed) + 1) % len(seeds)] if len(seeds) > 1 else None
