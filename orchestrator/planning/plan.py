"""Plan: a study expanded into the distinct trainings and evaluations and the table that they fill.

Every grid point of the search space is a Variant (a row), trained once for each seed; attacks, transfers and measures
are columns. Axes of training and of evaluation are kept apart: a TrainingSpec is trained once, however many cells need
it, and an EvaluationSpec is run once, however many cells show it.

`expand` goes through this folder's files in order: `layers` (settings of one scale), `grids` (points), `rows`
(variants and trainings), `cells` (evaluations).
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.planning.cells import (
    CellKey,
    Split,
    check_judges,
    check_views,
    filled_columns,
    own_cells,
    transfer_cells,
)
from orchestrator.planning.grids import apply_to_grids, check_keys, points_of
from orchestrator.planning.keys import Point, hashable, is_inference, with_whole_keys
from orchestrator.planning.layers import checked_seeds, own_seeds_of, refuse_seeds, settings_of
from orchestrator.planning.rows import Variant, baselines_of, settings_by_row, sources_of, variants_of
from orchestrator.planning.wording import arguments, as_text, assignments
from search_spaces.study import Study
from trainables.attacks.spec import AttackSpec
from trainables.judges import Judge
from trainables.measures.spec import MeasureSpec
from trainables.specs import EvaluationSpec, TrainingSpec


@dataclass(frozen=True)
class Axis:
    """A dotted key, the values that the study gives it, and the phase that they vary: training or evaluation."""

    key: str
    values: tuple[Any, ...]
    phase: str


@dataclass(frozen=True)
class Plan:
    """What a study trains and evaluates, and where each result belongs. `asked` is how the user names the study.

    `layout[variant label, column, seed]` is the fingerprint of that cell's evaluation. `sources[variant label, column]`
    is the label of the row on which a transfer's examples are crafted. `baselines` maps a row's label to the label of
    the row that it is compared with; a baseline is mapped to itself.
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
    layout: Mapping[CellKey, str] = field(repr=False)
    sources: Mapping[tuple[str, str], str] = field(repr=False)

    @property
    def slug(self) -> str:
        """A name for this plan's reports and MLflow run: the study's name, with a hash if settings were changed."""
        name = self.study.name if self.scale == "quick" else f"{self.study.name}-{self.scale}"
        if not self.overrides and self.seeds == self.own_seeds:
            return name
        settings = json.dumps([self.overrides, self.seeds], sort_keys=True)
        return f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"

    @property
    def own_seeds(self) -> tuple[int, ...]:
        """The seeds that the study itself has at this scale."""
        return tuple(own_seeds_of(self.study, self.scale))

    @property
    def identity(self) -> str:
        """Hash of the evaluations: it tells plans of one name apart, as when a study was edited."""
        return hashlib.sha256(json.dumps(sorted(self.evaluations)).encode()).hexdigest()[:20]

    @property
    def judge(self) -> Judge:
        """The judge that scores the answers of all models of the plan."""
        return next(iter(self.trainings.values())).judge

    @property
    def craftings(self) -> frozenset[str]:
        """Fingerprints of the transfer sources' examples; each is crafted once for all its targets."""
        return frozenset(spec.crafting_fingerprint for spec in self.evaluations.values() if spec.source)

    def name_of(self, model: str) -> str:
        """Name a model by its rows' label without the settings at test time."""
        variant = next(v for v in self.variants if model in v.models.values())
        return variant.label.removesuffix(variant.inference_label).rstrip()

    def attack_of(self, column: str) -> AttackSpec | None:
        """Return the attack of a column; None for the clean one."""
        if column in self.study.transfers:
            column = self.study.transfers[column].attack
        return self.attacks.get(column)


def expand(
    study: Study,
    *,
    scale: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    asked: str = "",
    split: Split = "test",
) -> Plan:
    """Expand a study into a Plan; `asked` is how the user named the study (default: its name).

    `split` says which examples are evaluated. Raise InputError for wrong settings, before anything runs.
    """
    overrides = with_whole_keys(overrides or {})
    grids = [{key: hashable(values) for key, values in with_whole_keys(grid).items()} for grid in study.space]
    refuse_seeds(*grids)
    given = settings_of(study, scale=scale, overrides=overrides)
    base, changes = given.base, given.changes
    seeds = checked_seeds(own_seeds_of(study, scale) if seeds is None else seeds)

    check_keys(base, changes, grids, study)
    grids, settings = apply_to_grids(base, changes, grids)
    points = points_of(grids, settings, study.design)
    variants, trainings = variants_of(points, settings, seeds)
    check_views(given, variants, trainings, asked={key for key in overrides if key.endswith(".view")})
    check_judges(given, trainings)
    said = settings_by_row(variants, trainings)
    sources = sources_of(study, variants, trainings, said)
    cells = own_cells(variants, trainings, given, split) | transfer_cells(study, variants, sources, given, split)
    layout = {cell: spec.fingerprint for cell, spec in cells.items()}
    return Plan(
        study=study,
        asked=asked or study.name,
        scale=scale,
        overrides=overrides,
        seeds=seeds,
        axes=_axes(points, given.attacks),
        variants=tuple(variants),
        baselines=baselines_of(study, variants, said),
        columns=filled_columns(study, layout),
        attacks=given.attacks,
        measures=given.measures,
        trainings=trainings,
        evaluations={layout[cell]: spec for cell, spec in cells.items()},
        layout=layout,
        sources={cell: source.label for cell, source in sources.items()},
    )


def _axes(points: list[Point], attacks: Mapping[str, AttackSpec]) -> tuple[Axis, ...]:
    values: dict[str, dict[str, Any]] = {}
    for key, value in (item for point in points for item in point.items()):
        values.setdefault(key, {})[as_text(value)] = value
    training = [Axis(key, tuple(each.values()), _phase(key)) for key, each in values.items()]
    return (*training, *(Axis(f"attack.{c}.eps", a.eps, "evaluation") for c, a in attacks.items()))


def _phase(key: str) -> str:
    return "evaluation" if is_inference(key) else "training"


def command(plan: Plan, verb: str = "run") -> str:
    """Return the command line that runs this plan, or completes it; with another verb, that shows it."""
    seeds = None if plan.seeds == plan.own_seeds else plan.seeds
    return shlex.join(["robust-sweep", verb, *arguments(plan.asked, plan.scale, plan.overrides, seeds)])


def source_of(plan: Plan, column: str) -> str | None:
    """Name the variant on which a transfer column's examples are crafted; None for other columns.

    If the rows have different sources, the name is the settings that select a source.
    """
    labels = source_labels(plan, column)
    if len(labels) < 2:
        return next(iter(labels), None)
    selected = plan.study.transfers[column].source
    return assignments({key.rpartition(".")[2]: as_text(value) for key, value in selected.items()})


def source_labels(plan: Plan, column: str) -> dict[str, None]:
    return dict.fromkeys(source for (_, name), source in plan.sources.items() if name == column)
