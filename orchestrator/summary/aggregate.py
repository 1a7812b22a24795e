"""Records to a Summary: the counts behind every cell of a study's table; nothing is rounded here."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.planning.plan import Plan, command
from orchestrator.planning.rows import Variant
from orchestrator.storage.store import Store
from orchestrator.summary.costs import Costs, training_costs
from orchestrator.summary.estimate import Estimate, estimated, labels_of_best
from orchestrator.summary.verdict import Verdict, verdicts
from search_spaces.study import CLEAN
from trainables.attacks import NORMS
from trainables.errors import InputError
from trainables.results import Record

WORST_CASE = "worst case"


@dataclass(frozen=True)
class Column:
    """A column of the table; an example counts in it with its lowest score under any of its `parts`.

    `parts` are columns of the plan: one for the clean column and for an attack's, clean and all attacks of
    one norm for a worst case. `eps` is on the [0,1] image scale, 0 in the clean column.
    """

    name: str
    eps: float
    parts: tuple[str, ...]

    @property
    def is_worst_case(self) -> bool:
        return len(self.parts) > 1


@dataclass(frozen=True)
class Tally:
    """What one seed's model scored on n examples, how many of them it got right, and the evaluations that say so.

    `total` is the sum of the examples' scores; where an answer is right or wrong, it is `n_correct`.
    """

    n_correct: int
    n: int
    total: float
    evaluations: tuple[str, ...]

    @property
    def score(self) -> float:
        """The mean score of an example, in [0, 1]."""
        return self.total / self.n


@dataclass(frozen=True)
class Cell:
    """One variant in one column: the tally of each seed that has all its records.

    `planned` is the number of seeds that the plan evaluates here; 0 where the column does not apply.
    """

    tallies: Mapping[int, Tally]
    planned: int

    @property
    def is_partial(self) -> bool:
        """Whether some seeds have their records and others lack them."""
        return 0 < len(self.tallies) < self.planned


@dataclass(frozen=True)
class Measurement:
    """One variant under one measure: the record of each seed that has one; `planned` as in a Cell."""

    records: Mapping[int, Record]
    planned: int


@dataclass(frozen=True)
class Summary:
    """A plan's table in counts, and what was measured, by variant and measure.

    `missing` are the evaluations without a record, `failed` those of them that were tried, each with its error;
    `provenance` is that of each record read, by evaluation; `costs` of training are there if the study asks for them;
    `verdicts` on gradient masking are by variant.
    """

    plan: Plan
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, Column], Cell]
    measurements: Mapping[tuple[str, str], Measurement]
    missing: frozenset[str]
    failed: Mapping[str, str]
    provenance: Mapping[str, Mapping[str, Any]]
    costs: Costs | None
    verdicts: Mapping[str, Verdict]

    @property
    def metric(self) -> str:
        """What a mean score is called, such as "accuracy"."""
        return self.plan.judge.metric

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(variant.label for variant in self.plan.variants)

    @property
    def attack_names(self) -> tuple[str, ...]:
        """The attacks' columns without their eps, worst cases not among them."""
        names = (c.name for c in self.columns if c.name != CLEAN and not c.is_worst_case)
        return tuple(dict.fromkeys(names))

    @property
    def worst_cases(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_worst_case)

    def named(self, *names: str) -> tuple[Column, ...]:
        """Return the columns of these names, at every eps."""
        return tuple(column for column in self.columns if column.name in names)

    def score(self, label: str, column: Column) -> Estimate | None:
        """Return the mean score over the seeds; None if no seed has its records."""
        return estimated([tally.score for tally in self.cells[label, column].tallies.values()])

    def difference(self, label: str, column: Column) -> Estimate | None:
        """Return the score minus the baseline's, paired by seed; None without a seed that both have."""
        if label not in self.plan.baselines:
            return None
        mine = self.cells[label, column].tallies
        baseline = self.cells[self.plan.baselines[label], column].tallies
        return estimated([mine[s].score - baseline[s].score for s in mine if s in baseline])

    def best(self, column: Column) -> frozenset[str]:
        """Return the labels of the highest mean, all that tie; none where fewer than two rows compete."""
        return labels_of_best({label: self.score(label, column) for label in self.labels})

    def numbers(self, measure: str) -> tuple[str, ...]:
        """Return the names of the numbers that a measure found in any variant."""
        records = [r for (_, m), found in self.measurements.items() if m == measure for r in found.records.values()]
        return tuple(dict.fromkeys(name for record in records for name in record.numbers))

    def measured(self, label: str, measure: str, number: str) -> Estimate | None:
        """Return the mean of one of a measure's numbers over the seeds; None if no seed has it."""
        records = self.measurements[label, measure].records.values()
        return estimated([record.numbers[number] for record in records if number in record.numbers])


def summarise(plan: Plan, store: Store) -> Summary:
    """Read a plan's records, each once; raise InputError if the store has none of them."""
    stored = sorted(store.fingerprints("records") & set(plan.evaluations))
    if not stored:
        raise InputError(f"study {plan.study.name!r} has no records in {store.shown}: run `{command(plan)}` first")
    with ThreadPoolExecutor() as pool:  # an object store answers slowly, but many at a time
        loaded = zip(stored, pool.map(store.load_records, stored), strict=True)
        records = {f: {record.eps: record for record in by_eps} for f, by_eps in loaded}
    missing = frozenset(plan.evaluations).difference(stored)
    failures = store.fingerprints("failures")
    failed = sorted(missing & failures)
    columns = columns_of(plan)
    return Summary(
        plan=plan,
        columns=columns,
        cells={(v.label, c): _cell(plan, v, c, records) for v in plan.variants for c in columns},
        measurements={(v.label, m): _measurement(plan, v, m, records) for v in plan.variants for m in plan.measures},
        missing=missing,
        failed={f: store.load_failure(f).error for f in failed},
        provenance={f: next(iter(by_eps.values())).provenance for f, by_eps in records.items()},
        costs=training_costs(plan, store),
        verdicts=verdicts(plan, records, metric=plan.judge.metric, failed=failures),
    )


def columns_of(plan: Plan) -> tuple[Column, ...]:
    """Clean, each attack at each eps, then the worst case over the attacks of each norm at the eps they share.

    A transfer counts in it only if every row meets it, so that rows are compared over the same threats.
    """
    used = {column for _, column, _ in plan.layout}
    attacks = {name: attack for name in plan.columns if name in used and (attack := plan.attack_of(name))}
    alone = [Column(name, eps, (name,)) for name, attack in attacks.items() for eps in attack.eps]
    asked = {attack.norm for attack in attacks.values()}
    norms = [norm for norm in NORMS if norm in asked]
    worst = []
    for norm in norms:
        same = {n: attack for n, attack in attacks.items() if attack.norm == norm and _met_by_all(plan, n)}
        grids = [set(attack.eps) for attack in same.values()]
        for eps in sorted(set.intersection(*grids) or set.union(*grids)) if grids else ():
            parts = (CLEAN, *(name for name, attack in same.items() if eps in attack.eps))
            worst.append(Column(WORST_CASE if len(norms) == 1 else f"{WORST_CASE} {norm}", eps, parts))
    return (Column(CLEAN, 0.0, (CLEAN,)), *alone, *worst)


def _met_by_all(plan: Plan, column: str) -> bool:
    """Whether a column is an attack, or a transfer that every row meets with every seed."""
    if column not in plan.study.transfers:
        return True
    return all((v.label, column, seed) in plan.layout for v in plan.variants for seed in v.models)


def _cell(plan: Plan, variant: Variant, column: Column, records: Mapping[str, Mapping[float, Record]]) -> Cell:
    tallies: dict[int, Tally] = {}
    planned = 0
    for seed in variant.models:
        parts = [part for part in column.parts if (variant.label, part, seed) in plan.layout]
        if column.is_worst_case and parts == [CLEAN]:  # no attack of this norm meets the row
            parts = []
        planned += bool(parts)
        evaluations = [plan.layout[variant.label, part, seed] for part in parts]
        eps = [0.0 if part == CLEAN else column.eps for part in parts]
        found = [records.get(f, {}).get(e) for f, e in zip(evaluations, eps, strict=True)]
        there = [record for record in found if record is not None]
        if parts and len(there) == len(parts):
            robust = np.logical_and.reduce([record.correct for record in there])
            worst = np.minimum.reduce([record.score for record in there])
            tallies[seed] = Tally(
                int(robust.sum()), len(robust), float(worst.sum(dtype=np.float64)), tuple(evaluations)
            )
    return Cell(tallies, planned)


def _measurement(
    plan: Plan, variant: Variant, measure: str, records: Mapping[str, Mapping[float, Record]]
) -> Measurement:
    asked = {seed: f for (label, column, seed), f in plan.layout.items() if (label, column) == (variant.label, measure)}
    return Measurement({seed: records[f][0.0] for seed, f in asked.items() if f in records}, len(asked))
