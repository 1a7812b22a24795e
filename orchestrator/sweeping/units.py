"""A unit: one trial's work before Ray Tune has it, under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trainables.specs import EvaluationSpec, TrainingSpec
from trainables.units import EvaluateUnit, Probe, TrainUnit, Work


@dataclass(frozen=True)
class Unit:
    """One trial's work: a training, or evaluations that attack one model. `name` is unique in a sweep."""

    name: str
    work: Work

    @property
    def training(self) -> TrainingSpec | None:
        """The model that is trained, if the unit is a training."""
        return self.work.spec if isinstance(self.work, TrainUnit) else None

    @property
    def evaluations(self) -> tuple[EvaluationSpec, ...]:
        return self.work.specs if isinstance(self.work, EvaluateUnit) else ()

    @property
    def specs(self) -> tuple[TrainingSpec | EvaluationSpec, ...]:
        return (self.training,) if self.training else self.evaluations

    @property
    def needs(self) -> frozenset[str]:
        """Fingerprints of the models that must be trained before."""
        return frozenset(f for e in self.evaluations for f in (e.model, e.crafted_on))

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What the unit will put into the store."""
        return tuple(spec.fingerprint for spec in self.specs)


def training_unit(spec: TrainingSpec, *, probe: Probe | None = None) -> Unit:
    """Return the unit that trains a model; its name is the model's fingerprint."""
    return Unit(spec.fingerprint, TrainUnit(spec=spec, probe=probe))


def evaluation_units(specs: Iterable[EvaluationSpec], slots: int, numbers: Iterator[int]) -> Iterable[Unit]:
    """Group evaluations by the attacked model, a transfer's by its source; number the units so that names differ.

    One group loads its model once and crafts a transfer source's examples once. Where there are fewer groups than
    slots, white-box groups are split, an evaluation a unit, so that no slot idles.
    """
    groups: dict[tuple[str, str], list[EvaluationSpec]] = {}
    for spec in specs:
        transfer = spec.crafting_fingerprint if spec.source else ""
        groups.setdefault((spec.crafted_on, transfer), []).append(spec)
    for (model, transfer), grouped in groups.items():
        alone = not transfer and len(groups) < slots
        for part in ([s] for s in grouped) if alone else [grouped]:
            kind = "transfer" if transfer else "evaluate"
            yield Unit(f"{kind}-{model}-{next(numbers)}", EvaluateUnit(specs=tuple(part)))
