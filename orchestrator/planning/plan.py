"""Plan: a study expanded into the distinct units of work and the table that they fill.

Every grid point of the search space is a Variant (a row), trained once a seed; attacks and transfers are
columns. Axes of training and of evaluation are apart: a TrainingSpec is trained once, however many cells ask
for it, and an EvaluationSpec is run once, however many cells show it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.planning.cells import Split, _check_views, _columns, _own_cells, _transfers
from orchestrator.planning.grids import apply_to_grids, check_keys, points_of
from orchestrator.planning.keys import Point, hashable, is_inference, with_whole_keys
from orchestrator.planning.layers import _refuse_seeds, checked_seeds, own_seeds_of, settings_of
from orchestrator.planning.rows import Variant, _baselines, _said_of, _sources, _variants
from orchestrator.planning.wording import arguments, as_text, assignments
from search_spaces.study import Study
from trainables.attacks.spec import AttackSpec
from trainables.measures.spec import MeasureSpec
from trainables.specs import EvaluationSpec, TrainingSpec


@dataclass(frozen=True)
class Axis:
    """A dotted key, the values that the study gives it, and what they vary: training or evaluation."""

    key: str
    values: tuple[Any, ...]
    phase: str


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


def _axes(points: list[Point], attacks: Mapping[str, AttackSpec]) -> tuple[Axis, ...]:
    values: dict[str, dict[str, Any]] = {}
    for key, value in (item for point in points for item in point.items()):
        values.setdefault(key, {})[as_text(value)] = value
    training = [Axis(key, tuple(each.values()), _phase(key)) for key, each in values.items()]
    return (*training, *(Axis(f"attack.{c}.eps", a.eps, "evaluation") for c, a in attacks.items()))


def _phase(key: str) -> str:
    return "evaluation" if is_inference(key) else "training"


def command(plan: Plan) -> str:
    """Return the command line that runs, or completes, this plan."""
    seeds = None if plan.seeds == plan.own_seeds else plan.seeds
    return shlex.join(["robust-sweep", "run", *arguments(plan.asked, plan.scale, plan.overrides, seeds)])


def source_of(plan: Plan, column: str) -> str | None:
    """Name the variant on which a transfer column's examples are crafted; None for other columns.

    Where variants have sources of their own, the settings by which these are selected are the name.
    """
    labels = source_labels(plan, column)
    if len(labels) < 2:
        return next(iter(labels), None)
    selected = plan.study.transfers[column].source
    return assignments({key.rpartition(".")[2]: as_text(value) for key, value in selected.items()})


def source_labels(plan: Plan, column: str) -> dict[str, None]:
    return dict.fromkeys(source for (_, name), source in plan.sources.items() if name == column)
