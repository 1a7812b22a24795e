"""Watches a sweep: passes each event on to the source of units, the store and the listeners."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import Remainder
from orchestrator.sweeping.units import Unit
from trainables.metrics import EPOCH
from trainables.runtime.failures import NO_MODEL, NODE_LOST, Failure
from trainables.specs import EvaluationSpec
from trainables.units import StepResult

logger = logging.getLogger(__name__)
NODE_RETRIES = 5  # of a unit; a unit that crashes its node must not crash all of them
REST_SECONDS = 30.0  # Ray takes some 20 to see that a node is lost, and starts units on it until then


class Source(Protocol):
    """Where units come from: `schedule.Schedule` for a sweep, `search.Search` for a search. Must not raise."""

    @property
    def units(self) -> Mapping[str, Unit]:
        """All units handed out so far or waiting, by name."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether every unit has been handed out or can never be."""
        ...

    def take(self) -> Unit | None:
        """Return the next unit; None if there is none at this moment."""
        ...

    def retry(self, name: str, *, after: float) -> None:
        """Take a unit back, to hand it out again `after` seconds."""
        ...

    def finish(self, name: str, *, error: str | None = None) -> list[EvaluationSpec]:
        """Note a unit's end; return the evaluations that can now never run."""
        ...


class Pruner(Protocol):
    """Says which trainings are not worth going on with."""

    def gives_up(self, name: str, *, epoch: int, value: float) -> bool:
        """Whether to stop a training, given its probe's value; must not raise."""
        ...


class Listener(Protocol):
    """Receives events on Tune's thread, so it must return soon. A listener's errors are logged, not passed on.

    `begin` comes before a plan's units start: once in a sweep, for every point in a search.
    """

    def begin(self, plan: Plan, rest: Remainder, units: Sequence[Unit], slots: int) -> None: ...

    def started(self, unit: Unit) -> None: ...

    def progressed(self, unit: Unit, metrics: Mapping[str, Any]) -> None: ...

    def finished(self, unit: Unit) -> None: ...

    def done_elsewhere(self, unit: Unit) -> None: ...

    def failed(self, unit: Unit, failure: Failure) -> None: ...

    def given_up(self, unit: Unit) -> None: ...


@dataclass
class SweepResult:
    """How a sweep ended: units done, whether some were left undone on the way, and the failures by unit name.

    `gpu_peak_mib` is the most GPU memory that a unit's tensors took, in MiB; 0 on the CPU. `quit_debugger`: whether a
    debugger's `quit`, or the end of its input, interrupted the sweep.
    """

    done: int = 0
    was_interrupted: bool = False
    quit_debugger: bool = False
    gpu_peak_mib: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)


def tell(listeners: Sequence[Listener], event: str, *arguments: Any) -> None:
    """Tell all listeners of an event, whatever one of them raises."""
    for listener in listeners:
        try:
            getattr(listener, event)(*arguments)
        except Exception:  # an exception here would end the whole experiment
            logger.exception("listener %s failed at %r", type(listener).__name__, event)


class Watch:
    """Turns Tune's events into the source's, the store's and the listeners'."""

    def __init__(
        self, source: Source, store: Store, listeners: Sequence[Listener], *, pruner: Pruner | None = None
    ) -> None:
        self.source, self.store, self.listeners, self.pruner = source, store, listeners, pruner
        self.result = SweepResult()
        self.running: set[str] = set()
        self._given_up: set[str] = set()
        self._nodes_lost: Counter[str] = Counter()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()  # Tune pickles its callbacks into a file that nobody reads

    def on_start(self, name: str) -> None:
        self.running.add(name)
        tell(self.listeners, "started", self.source.units[name])

    def stops(self, name: str, result: StepResult) -> bool:
        """Whether to end a training early; Tune asks before it tells `on_result` of the same result."""
        if self.pruner is None or result.probed is None:
            return False
        before = dict(self.source.units)
        if self.pruner.gives_up(name, epoch=int(result.metrics[EPOCH]), value=result.probed):
            self._given_up.add(name)
            for lost in before.keys() - self.source.units.keys():
                tell(self.listeners, "given_up", before[lost])
        return name in self._given_up

    def on_result(self, name: str, result: StepResult) -> None:
        unit = self.source.units[name]
        if result.failure is not None:
            self.on_failure(name, result.failure)
            return
        self.result.gpu_peak_mib = max(self.result.gpu_peak_mib, result.gpu_peak_mib)
        tell(self.listeners, "progressed", unit, result.metrics)
        if unit.name in self._given_up:
            self.running.discard(unit.name)
            tell(self.listeners, "given_up", unit)
        elif result.is_done:
            self.result.done += 1
            self.running.discard(unit.name)
            self.source.finish(unit.name)
            tell(self.listeners, "finished", unit)

    def on_death(self, name: str, failure: Failure) -> None:
        """Hand a unit out again if its node was lost; otherwise its process died too often, and it has failed."""
        if failure.kind == NODE_LOST and self._nodes_lost[name] < NODE_RETRIES:
            self._nodes_lost[name] += 1
            self.running.discard(name)
            self.source.retry(name, after=REST_SECONDS)
        else:
            self.on_failure(name, failure)

    def on_failure(self, name: str, failure: Failure) -> None:
        """Note that a unit has failed, and with it the evaluations that needed its model."""
        units = dict(self.source.units)
        unit = units[name]
        self.result.failures[unit.name] = failure
        self.running.discard(unit.name)
        lost = self.source.finish(unit.name, error=failure.error)
        why = Failure(NO_MODEL, f"the model {unit.name} that it needs was not trained")
        reasons = {s.fingerprint: failure for s in unit.specs} | {s.fingerprint: why for s in lost}
        for fingerprint, reason in reasons.items():
            try:
                self.store.save_failure(fingerprint, replace(reason, unit=unit.name))
            except Exception:  # an exception here would end the whole experiment
                logger.exception("the failure of %s could not be stored", fingerprint)
        tell(self.listeners, "failed", unit, failure)
        for other in units.keys() - self.source.units.keys():
            tell(self.listeners, "failed", units[other], why)
