"""Training times from the checkpoints' histories, as in the papers' tables of training cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from orchestrator.summary.estimate import Estimate, estimated
from trainables.metrics import PREPARE_SECONDS, SECONDS
from trainables.results import Story


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds of one training: the mean epoch without validation, and the preparation before the first."""

    epochs: int
    seconds_per_epoch: float
    prepare_seconds: float

    @property
    def total_seconds(self) -> float:
        return self.prepare_seconds + self.epochs * self.seconds_per_epoch


@dataclass(frozen=True)
class CostColumn:
    """A column of the table: a number of each training or, with `is_ratio`, its ratio to the baseline's."""

    name: str
    of: Callable[[Cost], float]
    is_ratio: bool = False


COST_COLUMNS = (
    CostColumn("s/epoch", lambda cost: cost.seconds_per_epoch),
    CostColumn("s/epoch ratio", lambda cost: cost.seconds_per_epoch, is_ratio=True),
    CostColumn("epochs", lambda cost: cost.epochs),
    CostColumn("prepare s", lambda cost: cost.prepare_seconds),
    CostColumn("total s", lambda cost: cost.total_seconds),
    CostColumn("total s ratio", lambda cost: cost.total_seconds, is_ratio=True),
)


@dataclass(frozen=True)
class Costs:
    """A plan's trainings by row and seed; rows that share their models, such as by settings at test time, are one row.

    `models` has every training that is planned, `costs` every one that is done; `hardware` is what those ran on.
    """

    models: Mapping[str, Mapping[int, str]]
    baselines: Mapping[str, str]
    costs: Mapping[str, Cost]
    hardware: tuple[str, ...]

    def estimate(self, row: str, column: CostColumn) -> Estimate | None:
        """Return the mean over the trained seeds, ratios paired by seed; None if no seed has the number."""
        mine = self._by_seed(row)
        if not column.is_ratio:
            return estimated([column.of(cost) for cost in mine.values()])
        baseline = self._by_seed(self.baselines[row]) if row in self.baselines else {}
        return estimated([column.of(mine[seed]) / column.of(baseline[seed]) for seed in mine if seed in baseline])

    def _by_seed(self, row: str) -> dict[int, Cost]:
        return {seed: self.costs[model] for seed, model in self.models[row].items() if model in self.costs}


def training_costs(plan: Plan, store: Store) -> Costs | None:
    """Read what a plan's trainings cost; None if its study does not ask for costs."""
    if not plan.study.costs:
        return None
    trained = sorted(store.fingerprints("checkpoints") & set(plan.trainings))
    with ThreadPoolExecutor() as pool:
        stories = dict(zip(trained, pool.map(store.load_history, trained), strict=True))
    row_of = {v.label: plan.name_of(next(iter(v.models.values()))) for v in plan.variants}
    return Costs(
        models={row_of[v.label]: v.models for v in plan.variants},
        baselines={row_of[row]: row_of[baseline] for row, baseline in plan.baselines.items()},
        costs={model: _cost(story) for model, story in stories.items()},
        hardware=tuple(sorted({_hardware(story) for story in stories.values()})),
    )


def _cost(story: Story) -> Cost:
    mean = statistics.fmean(metrics[SECONDS] for metrics in story.history)
    return Cost(len(story.history), mean, story.history[0][PREPARE_SECONDS])


def _hardware(story: Story) -> str:
    threads = story.provenance["threads"]
    return f"{story.provenance['device']} ({threads} {'thread' if threads == 1 else 'threads'})"
