"""Plan -> Ray Tune: runs what the store lacks, both phases in one experiment, and tells listeners what happens.

The store is the ledger: a sweep starts a fresh Tune experiment with the work that is left, so running again is
resuming, and Tune's own experiment state is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from orchestrator.cluster import preflight
from orchestrator.cluster.connection import connected, packed
from orchestrator.cluster.resources import Resources
from orchestrator.planning.plan import Plan
from orchestrator.storage.claims import Claims
from orchestrator.storage.litter import clear_litter
from orchestrator.storage.store import Store
from orchestrator.sweeping import in_process, tuner
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
    """Run `rest`, unless given all that the store lacks of a plan, on `datasets` as `load_datasets` gives them.

    `state_seconds`: how often an unfinished training is saved, to be resumed. `debug`: in this process, without Ray.
    Raise InputError for what `preflight.check` or `in_process.check` finds, before any trial starts.
    """
    resources.check()
    rest = rest or remainder(plan, store)
    if rest.is_empty:
        return SweepResult()
    place, fit = (_this_process, in_process.fit) if debug else (_ray, tuner.fit)
    with Claims(store) as claims, place(resources, store) as (resources, slots):
        clear_litter(store)
        for fingerprint in rest.fingerprints & store.fingerprints("failures"):
            store.delete("failures", fingerprint)
        elsewhere = partial(tell, listeners, "done_elsewhere")
        schedule = Schedule(rest, slots=slots, peers=claims, on_done_elsewhere=elsewhere)
        tell(listeners, "begin", plan, rest, list(schedule.units.values()), slots)
        watch = Watch(schedule, store, listeners)
        return fit(watch, datasets, resources, slots=slots, state_seconds=state_seconds)


@contextmanager
def _ray(resources: Resources, store: Store) -> Iterator[tuple[Resources, int]]:
    """Connect to Ray; yield what a trial reserves and how many run at once."""
    with connected(resources) as nodes:
        resources = packed(resources)
        yield resources, preflight.check(resources, store, nodes)


@contextmanager
def _this_process(resources: Resources, store: Store) -> Iterator[tuple[Resources, int]]:
    """Yield what a unit has here and how many run at once."""
    yield resources, in_process.check(resources)


def load_datasets(plan: Plan, rest: Remainder, *, folder: str = "", download: bool = False) -> dict[str, Splits]:
    """Decode each dataset that the remainder needs, once; raise InputError if one is not there or corrupt."""
    models = {spec.fingerprint for spec in rest.trainings}
    models |= {f for e in rest.evaluations for f in (e.model, e.crafted_on)}
    specs = {spec.key: spec for spec in (plan.trainings[model].dataset for model in models)}
    return {key: load(spec, folder=folder, download=download) for key, spec in specs.items()}


def check_builds(plan: Plan, rest: Remainder, datasets: Mapping[str, Splits]) -> None:
    """Build each kind of model that is to be trained once; raise InputError for one that its data do not fit."""
    kinds: dict[str, TrainingSpec] = {}
    for spec in rest.trainings:
        kinds.setdefault(spec.model_dump_json(exclude={"seed", "optimisation", "epochs"}), spec)
    for spec in kinds.values():
        with seeded(spec.seed, torch.device("cpu")):
            build(spec, datasets[spec.dataset.key])
