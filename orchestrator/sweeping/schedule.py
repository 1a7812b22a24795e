"""Which unit of work comes next: evaluations of a model follow as soon as the models they need are trained.

Trainings go first, since evaluations wait for them; there is no barrier between the phases: while the last
trainings run, free slots evaluate what is ready.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from orchestrator.sweeping.remainder import Remainder
from orchestrator.sweeping.units import Unit, evaluation_units, training_unit
from trainables.specs import EvaluationSpec
from trainables.units import EvaluateUnit, Probe

LOOK_AGAIN_SECONDS = 1.0  # at what peers have under way


class Peers(Protocol):
    """The other drivers on the store, as a schedule sees them; must not raise."""

    def done(self, fingerprints: Collection[str]) -> Collection[str]:
        """Return which of these somebody has finished by now."""
        ...

    def take(self, fingerprints: Collection[str]) -> bool:
        """Claim all of these; False if another driver has one of them under way."""
        ...

    def release(self, fingerprints: Collection[str]) -> None:
        """Give up the claims on these, which have ended."""
        ...


class NoPeers:
    """Nobody else."""

    def done(self, fingerprints: Collection[str]) -> Collection[str]:
        return ()

    def take(self, fingerprints: Collection[str]) -> bool:
        return True

    def release(self, fingerprints: Collection[str]) -> None:
        pass


class Schedule:
    """Hands out units: trainings first, evaluations once their models are there.

    Work that a peer has under way waits at the end of its queue; when the peer has finished it, `on_done_elsewhere`
    is called.
    Not safe for several threads; Tune's loop is one.
    """

    def __init__(
        self,
        rest: Remainder,
        *,
        slots: int,
        peers: Peers | None = None,
        on_done_elsewhere: Callable[[Unit], None] = lambda unit: None,
    ) -> None:
        self._peers, self._on_done_elsewhere = peers or NoPeers(), on_done_elsewhere
        self._quiet_until = 0.0
        self.units: dict[str, Unit] = {}
        self._slots = slots
        self._numbers = itertools.count()
        self._trainings: deque[Unit] = deque()
        self._trained: set[str] = set()
        self._waiting: dict[str, Unit] = {}
        self._ready: deque[Unit] = deque()
        self._resting: list[tuple[float, Unit]] = []
        self._ended: set[str] = set()
        self.add(rest)

    def add(self, rest: Remainder, *, probe: Probe | None = None) -> list[Unit]:
        """Add work that is not under way yet; return its units. `probe` goes with its trainings."""
        under_way = {s.fingerprint for u in self.units.values() if u.name not in self._ended for s in u.specs}
        self._trained |= rest.trained
        trainings = [training_unit(s, probe=probe) for s in rest.trainings if s.fingerprint not in under_way]
        left = [e for e in rest.evaluations if e.fingerprint not in under_way]
        evaluations = list(evaluation_units(left, self._slots, self._numbers))
        added = [*trainings, *evaluations]
        self.units |= {unit.name: unit for unit in added}
        self._ended -= {unit.name for unit in added}
        self._trainings += trainings
        self._waiting |= {unit.name: unit for unit in evaluations}
        self._release()
        return added

    @property
    def is_ready(self) -> bool:
        """Whether there is a unit to take at this moment."""
        return bool(self._trainings or self._ready)

    def take(self) -> Unit | None:
        """Return the next unit; None if there is none at this moment."""
        self._wake()
        if time.monotonic() < self._quiet_until:
            return None
        for queue in (self._trainings, self._ready):
            for _ in range(len(queue)):
                unit = self._left_of(queue.popleft())
                if unit is None:
                    continue
                if self._peers.take(unit.fingerprints):
                    return unit
                queue.append(unit)
        if self.is_ready:  # all of it is under way elsewhere
            self._quiet_until = time.monotonic() + LOOK_AGAIN_SECONDS
        return None

    def _wake(self) -> None:
        now = time.monotonic()
        for _, unit in [rest for rest in self._resting if rest[0] <= now]:
            (self._trainings if unit.training else self._ready).append(unit)
        self._resting = [rest for rest in self._resting if rest[0] > now]

    def _left_of(self, unit: Unit) -> Unit | None:
        """Return a unit without the work that peers have finished; None if nothing is left."""
        done = self._peers.done(unit.fingerprints)
        if not done:
            return unit
        if left := tuple(spec for spec in unit.evaluations if spec.fingerprint not in done):
            self.units[unit.name] = replace(unit, work=EvaluateUnit(specs=left))
            return self.units[unit.name]
        self.finish(unit.name)
        self._on_done_elsewhere(unit)
        return None

    @property
    def exhausted(self) -> bool:
        """Whether every unit has been handed out or can never be."""
        return not (self.is_ready or self._waiting or self._resting)

    def retry(self, name: str, *, after: float) -> None:
        """Take back a unit that ended through no fault of its own; hand it out again `after` seconds."""
        self._resting.append((time.monotonic() + after, self.units[name]))

    def finish(self, name: str, *, error: str | None = None) -> list[EvaluationSpec]:
        """Note a unit's end, with its error if it failed.

        Return the evaluations that can now never run, because they need its model.
        """
        self._ended.add(name)
        self._peers.release(self.units[name].fingerprints)
        model = self.units[name].training
        if model is None:
            return []
        lost = [] if error is None else self._abandon(model.fingerprint)
        if error is None:
            self._trained.add(model.fingerprint)
        self._release()
        return lost

    def _release(self) -> None:
        for unit in [u for u in self._waiting.values() if u.needs <= self._trained]:
            self._ready.append(self._waiting.pop(unit.name))

    def _abandon(self, model: str) -> list[EvaluationSpec]:
        """Remove evaluations that need the model from the waiting units; a transfer's other targets stay."""
        lost: list[EvaluationSpec] = []
        for unit in [u for u in self._waiting.values() if model in u.needs]:
            kept = tuple(e for e in unit.evaluations if model not in (e.model, e.crafted_on))
            lost += [e for e in unit.evaluations if e not in kept]
            del self._waiting[unit.name]
            if kept:
                self.units[unit.name] = self._waiting[unit.name] = replace(unit, work=EvaluateUnit(specs=kept))
            else:
                del self.units[unit.name]
        return lost
