"""Which unit of work comes next: evaluations of a model follow as soon as the models they need are trained.

Trainings go first, since evaluations wait for them; there is no barrier between the phases: while the last
trainings run, free slots evaluate what is ready.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.plan import Remainder
from trainables.specs import EvaluationSpec, TrainingSpec


@dataclass(frozen=True)
class Unit:
    """One trial's work: a training, or evaluations that attack one model. `name` is unique in a sweep."""

    name: str
    training: TrainingSpec | None = None
    evaluations: tuple[EvaluationSpec, ...] = ()

    @property
    def specs(self) -> tuple[TrainingSpec | EvaluationSpec, ...]:
        return (self.training,) if self.training else self.evaluations

    @property
    def needs(self) -> frozenset[str]:
        """Fingerprints of the models that must be trained before."""
        return frozenset(f for e in self.evaluations for f in (e.model, e.crafted_on))

    def config(self) -> dict[str, Any]:
        """Return what Tune sends to the worker: names and JSON only."""
        if self.training:
            return {"unit": self.name, "kind": "train", "spec": self.training.model_dump_json()}
        return {
            "unit": self.name,
            "kind": "evaluate",
            "evaluations": [spec.model_dump_json() for spec in self.evaluations],
        }


class Schedule:
    """Hands out units: trainings first, evaluations once their models are there.

    Not safe for several threads; Tune's loop is one.
    """

    def __init__(self, rest: Remainder, *, slots: int) -> None:
        self.units: dict[str, Unit] = {u.name: u for u in (*_trainings(rest), *_evaluations(rest, slots))}
        self._trainings = deque(u for u in self.units.values() if u.training)
        self._trained = set(rest.trained)
        self._waiting = {u.name: u for u in self.units.values() if not u.training}
        self._ready: deque[Unit] = deque()
        self._release()

    def take(self) -> Unit | None:
        """Return the next unit; None if there is none at this moment."""
        queue = self._trainings or self._ready
        return queue.popleft() if queue else None

    @property
    def exhausted(self) -> bool:
        """Whether every unit has been handed out or can never be."""
        return not (self._trainings or self._ready or self._waiting)

    def finish(self, name: str, *, ok: bool) -> list[EvaluationSpec]:
        """Note a unit's end; return the evaluations that can now never run, for want of its model."""
        model = self.units[name].training
        if model is None:
            return []
        lost = [] if ok else self._abandon(model.fingerprint)
        if ok:
            self._trained.add(model.fingerprint)
        self._release()
        return lost

    def _release(self) -> None:
        for unit in [u for u in self._waiting.values() if u.needs <= self._trained]:
            self._ready.append(self._waiting.pop(unit.name))

    def _abandon(self, model: str) -> list[EvaluationSpec]:
        """Take what needs the model out of the waiting units; a transfer's other targets stay."""
        lost: list[EvaluationSpec] = []
        for unit in [u for u in self._waiting.values() if model in u.needs]:
            kept = tuple(e for e in unit.evaluations if model not in (e.model, e.crafted_on))
            lost += [e for e in unit.evaluations if e not in kept]
            del self._waiting[unit.name]
            if kept:
                self.units[unit.name] = self._waiting[unit.name] = replace(unit, evaluations=kept)
            else:
                del self.units[unit.name]
        return lost


def _trainings(rest: Remainder) -> Iterable[Unit]:
    return (Unit(spec.fingerprint, training=spec) for spec in rest.trainings)


def _evaluations(rest: Remainder, slots: int) -> Iterable[Unit]:
    """Group evaluations by what is attacked, and whether the result is judged elsewhere.

    One group loads its model once and crafts a transfer source's examples once. Where there are fewer groups than
    slots, white-box groups are split, an evaluation a unit, so that no slot idles.
    """
    groups: dict[tuple[str, str], list[EvaluationSpec]] = {}
    for spec in rest.evaluations:
        transfer = spec.crafting_fingerprint if spec.source else ""
        groups.setdefault((spec.crafted_on, transfer), []).append(spec)
    numbers = itertools.count()
    for (model, transfer), specs in groups.items():
        alone = not transfer and len(groups) < slots
        for part in ([s] for s in specs) if alone else [specs]:
            kind = "transfer" if transfer else "evaluate"
            yield Unit(f"{kind}-{model}-{next(numbers)}", evaluations=tuple(part))
