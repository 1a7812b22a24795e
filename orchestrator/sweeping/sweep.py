"""A sweep: runs what the store lacks of a plan, both phases in one Ray Tune experiment, and tells listeners about it.

The store is the ledger: a sweep starts a fresh Tune experiment with the work that is left, so running again is
resuming; Tune's own experiment state is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from orchestrator.cluster.resources import Resources
from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from orchestrator.sweeping.driver import driving
from orchestrator.sweeping.remainder import Remainder, remainder
from orchestrator.sweeping.schedule import Schedule
from orchestrator.sweeping.tuner import STATE_SECONDS
from orchestrator.sweeping.watch import Listener, SweepResult, Watch, tell
from trainables.data.datasets import load
from trainables.data.splits import Splits
from trainables.runtime.randomness import seeded
from trainables.specs import TrainingSpec
from trainables.training import build

THIS_MACHINE = Resources()


def run_plan(
    plan: Plan,
    store: Store,
    datasets: Mapping[str, Splits],
    *,
    resources: Resources = THIS_MACHINE,
    listeners: Sequence[Listener] = (),
    state_seconds: float = STATE_SECONDS,
    rest: Remainder | None = None,
    debug: bool = False,
) -> SweepResult:
    """Run `rest` (default: everything the store lacks of the plan) on datasets from `load_datasets`.

    An unfinished training is saved every `state_seconds`, to be resumed. To `debug` is to run in this process, without
    Ray. Raise InputError before any trial starts if none could run.
    """
    resources.check()
    rest = rest or remainder(plan, store)
    if rest.is_empty:
        return SweepResult()
    with driving(store, resources, debug=debug) as driver:
        for fingerprint in rest.fingerprints & store.fingerprints("failures"):
            store.delete("failures", fingerprint)
        elsewhere = partial(tell, listeners, "done_elsewhere")
        schedule = Schedule(rest, slots=driver.slots, peers=driver.claims, on_done_elsewhere=elsewhere)
        tell(listeners, "begin", plan, rest, list(schedule.units.values()), driver.slots)
        return driver.fit(Watch(schedule, store, listeners), datasets, state_seconds=state_seconds)


def load_datasets(plan: Plan, rest: Remainder, *, folder: str = "", download: bool = False) -> dict[str, Splits]:
    """Decode each dataset that the remainder needs, once; raise InputError if one is missing or corrupt."""
    models = {spec.fingerprint for spec in rest.trainings}
    models |= {f for e in rest.evaluations for f in (e.model, e.crafted_on)}
    specs = {spec.key: spec for spec in (plan.trainings[model].dataset for model in models)}
    return {key: load(spec, folder=folder, download=download) for key, spec in specs.items()}


def check_builds(rest: Remainder, datasets: Mapping[str, Splits]) -> None:
    """Build each kind of model that is to be trained once; raise InputError if a model does not fit its data."""
    kinds: dict[str, TrainingSpec] = {}
    for spec in rest.trainings:
        kinds.setdefault(spec.model_dump_json(exclude={"seed", "optimisation", "epochs"}), spec)
    for spec in kinds.values():
        with seeded(spec.seed, torch.device("cpu")):
            build(spec, datasets[spec.dataset.key])
