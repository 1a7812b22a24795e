"""A driver at work on a store: its claims, the place where units run, and how many run there at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.cluster import preflight
from orchestrator.cluster.connection import connected, packed
from orchestrator.cluster.resources import Resources
from orchestrator.storage.claims import Claims
from orchestrator.storage.litter import clear_litter
from orchestrator.storage.store import Store
from orchestrator.sweeping import in_process, tuner
from orchestrator.sweeping.watch import SweepResult, Watch
from trainables.data.splits import Splits


@dataclass(frozen=True)
class Driver:
    """This process as a store's driver. `resources` are a trial's, with its share of a GPU known."""

    claims: Claims
    resources: Resources
    slots: int
    debug: bool

    def fit(self, watch: Watch, datasets: Mapping[str, Splits], *, state_seconds: float) -> SweepResult:
        """Run the units of the watch's source: as Ray's trials, or in this process to `debug`."""
        fit = in_process.fit if self.debug else tuner.fit
        return fit(watch, datasets, self.resources, slots=self.slots, state_seconds=state_seconds)


@contextmanager
def driving(store: Store, resources: Resources, *, debug: bool = False) -> Iterator[Driver]:
    """Claim work on a store and connect to Ray, or stay in this process to `debug`; let both go afterwards.

    Raise InputError if `preflight.check` or `in_process.check_debug` finds that no unit could run.
    """
    place = _this_process if debug else _ray
    with Claims(store) as claims, place(resources, store) as (resources, slots):
        clear_litter(store)
        yield Driver(claims, resources, slots, debug)


@contextmanager
def _ray(resources: Resources, store: Store) -> Iterator[tuple[Resources, int]]:
    with connected(resources) as nodes:
        resources = packed(resources)
        yield resources, preflight.check(resources, store, nodes)


@contextmanager
def _this_process(resources: Resources, store: Store) -> Iterator[tuple[Resources, int]]:
    yield resources, in_process.check_debug(resources)
