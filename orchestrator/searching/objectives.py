"""The objectives of a search: mean scores on validation examples, clean or under the attacks of its study."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from orchestrator.planning.plan import Plan
from orchestrator.searching.space import SearchSpace
from orchestrator.storage.store import Store
from orchestrator.summary.aggregate import Column, columns_of, summarise
from search_spaces.study import CLEAN
from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError, unknown
from trainables.metrics import clean_name, robust_name
from trainables.specs import EvaluationSpec

WORST_CASE = "worst_case"


@dataclass(frozen=True)
class Objective:
    """A mean score to maximise: of one column, or of the worst case over all attacks; the mean over its eps and seeds.

    `name` is as the user wrote it; `eps` restricts it to one eps of the grid.
    """

    name: str
    column: str
    eps: float | None = None

    def columns(self, plan: Plan) -> list[Column]:
        """Return the columns of a plan's report that the objective is the mean of."""
        if self.column == WORST_CASE:
            mine = [column for column in columns_of(plan) if column.is_worst_case]
        else:
            mine = [column for column in columns_of(plan) if column.name == self.column]
        return [column for column in mine if self.eps in (None, column.eps)]

    def eps_of(self, attacks: dict[str, AttackSpec], column: str) -> set[float]:
        """Return at which eps the objective needs an attack."""
        if self.column not in (column, WORST_CASE):
            return set()
        grid = set(attacks[column].eps)
        return grid if self.eps is None else grid & {self.eps}


def objectives_of(text: str, space: SearchSpace) -> tuple[Objective, ...]:
    """Parse `clean_accuracy,robust_accuracy:<column>`, with `@eps` behind a column for one eps of its grid.

    Without a text: clean accuracy, and the worst case if the study has attacks. Raise InputError for what the study
    does not have.
    """
    attacks, metric = space.study.attacks, space.metric  # read once: it expands the search into a plan
    clean, robust = clean_name(metric), robust_name(metric)
    columns = {clean: CLEAN} | {f"{robust}:{column}": column for column in (*attacks, WORST_CASE) if attacks}
    defaults = [name for name, column in columns.items() if column in (CLEAN, WORST_CASE)]
    names = [name.strip() for name in text.split(",")] if text else defaults
    if len(set(names)) < len(names):
        raise InputError(f"objectives must differ, got {', '.join(names)}")
    return tuple(_objective(name, columns) for name in names)


def _objective(name: str, columns: Mapping[str, str]) -> Objective:
    bare, at, eps = name.partition("@")
    if bare not in columns:
        raise unknown("objective", bare, columns)
    if not at:
        return Objective(name, columns[bare])
    if columns[bare] == CLEAN:
        raise InputError(f"{bare} has no eps, got {name!r}")
    try:
        return Objective(name, columns[bare], float(Fraction(eps)))
    except (ArithmeticError, ValueError):
        raise InputError(f"eps must be a number or a fraction such as 8/255, got {name!r}") from None


def judged_by(space: SearchSpace, objectives: Sequence[Objective]) -> SearchSpace:
    """Return the space with the attacks that the objectives need, and no others.

    Raise InputError for an eps that an attack has not, and for an attack on a view that not every defense has.
    """
    attacks = dict(space.study.attacks)
    wanted = {column: set[float]().union(*(o.eps_of(attacks, column) for o in objectives)) for column in attacks}
    needed = {c: attacks[c].model_copy(update={"eps": tuple(sorted(eps))}) for c, eps in wanted.items() if eps}
    others = {"transfers": {}, "measures": {}, "baseline": {}, "costs": False}
    study = space.study.model_copy(update={"attacks": needed, **others})
    judged = dataclasses.replace(space, study=study)
    plan = judged.plan(judged.corners())
    for objective in objectives:
        if not objective.columns(plan):
            raise InputError(f"objective {objective.name}: {_why_no_column(objective, attacks)}")
        missing = [v.label for v in plan.variants if not _is_met(objective, plan, v.label)]
        if missing:
            raise InputError(
                f"objective {objective.name}: view {needed[objective.column].view!r} must be one of every defense that "
                f"is searched, and {missing[0].partition(' ')[0]} has it not "
                f"({robust_name(space.metric)}:{WORST_CASE} takes what each has)"
            )
    return judged


def _why_no_column(objective: Objective, attacks: dict[str, AttackSpec]) -> str:
    if objective.eps is None:
        return "the attacks share no view with any defense that is searched"
    grids = [attacks[objective.column]] if objective.column in attacks else list(attacks.values())
    known = sorted({eps for attack in grids for eps in attack.eps})
    return f"eps must be one of the attack's, {', '.join(f'{eps:g}' for eps in known)}, got {objective.eps:g}"


def _is_met(objective: Objective, plan: Plan, label: str) -> bool:
    return objective.column == WORST_CASE or (label, objective.column, plan.seeds[0]) in plan.layout


def worth_of(objectives: Sequence[Objective], plan: Plan, store: Store) -> list[float]:
    """Return what the one row of a plan is worth, from records that are all there; each value is in [0, 1]."""
    summary = summarise(plan, store)
    (label,) = summary.labels
    values = []
    for objective in objectives:
        found = [summary.score(label, column) for column in objective.columns(plan)]
        values.append(statistics.fmean(estimate.mean for estimate in found if estimate))
    return values


def probe_of(objective: Objective, plan: Plan) -> EvaluationSpec:
    """Return the evaluation of a plan's one model that an objective of one column is the mean of."""
    ((label, column, seed),) = [cell for cell in plan.layout if cell[1] == objective.column]
    spec = plan.evaluations[plan.layout[label, column, seed]]
    if objective.eps is None or spec.attack is None:
        return spec
    return spec.model_copy(update={"attack": spec.attack.model_copy(update={"eps": (objective.eps,)})})
