"""What happens in a sweep: who is told, and what the schedule and the store make of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.plan import Plan, Remainder
from orchestrator.schedule import Schedule, Unit
from orchestrator.store import Store

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Is told what happens, on Tune's thread: return soon. What a listener raises is logged, not passed on."""

    def begin(self, plan: Plan, rest: Remainder, units: Sequence[Unit], slots: int) -> None: ...

    def started(self, unit: Unit) -> None: ...

    def progressed(self, unit: Unit, metrics: Mapping[str, Any]) -> None: ...

    def finished(self, unit: Unit) -> None: ...

    def failed(self, unit: Unit, failure: Mapping[str, Any]) -> None: ...


@dataclass
class SweepResult:
    """How a sweep ended: units done, whether some were left undone on the way, and the failures by unit name."""

    done: int = 0
    was_interrupted: bool = False
    failures: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Watch:
    """Turns Tune's events into the schedule's, the store's and the listeners'."""

    def __init__(self, schedule: Schedule, store: Store, listeners: Sequence[Listener]) -> None:
        self.schedule, self.store, self.listeners = schedule, store, listeners
        self.result = SweepResult()
        self.running: set[str] = set()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()  # Tune pickles its callbacks into a file that nobody reads

    def tell(self, event: str, *arguments: Any) -> None:
        for listener in self.listeners:
            try:
                getattr(listener, event)(*arguments)
            except Exception:  # an exception here would end the whole experiment
                logger.exception("listener %s failed at %r", type(listener).__name__, event)

    def on_start(self, config: Mapping[str, Any]) -> None:
        self.running.add(config["unit"])
        self.tell("started", self.schedule.units[config["unit"]])

    def on_result(self, config: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        unit = self.schedule.units[config["unit"]]
        if "failure" in result:
            self.on_failure(config, result["failure"])
            return
        self.tell("progressed", unit, result["metrics"])
        if result["done"]:
            self.result.done += 1
            self.running.discard(unit.name)
            self.schedule.finish(unit.name, ok=True)
            self.tell("finished", unit)

    def on_failure(self, config: Mapping[str, Any], failure: Mapping[str, Any]) -> None:
        units = dict(self.schedule.units)
        unit = units[config["unit"]]
        self.result.failures[unit.name] = failure
        self.running.discard(unit.name)
        lost = self.schedule.finish(unit.name, ok=False)
        why = {"error": f"the model {unit.name} that it needs was not trained", "traceback": ""}
        reasons = {s.fingerprint: failure for s in unit.specs} | {s.fingerprint: why for s in lost}
        for fingerprint, reason in reasons.items():
            try:
                self.store.save_failure(fingerprint, {**reason, "unit": unit.name})
            except Exception:  # an exception here would end the whole experiment
                logger.exception("the failure of %s could not be stored", fingerprint)
        self.tell("failed", unit, failure)
        for name in units.keys() - self.schedule.units.keys():
            self.tell("failed", units[name], why)
