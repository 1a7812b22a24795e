"""TODO: one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trainables.specs import EvaluationSpec, TrainingSpec


@dataclass(frozen=True)
class Probe:
    """An evaluation of a model while it is trained, after each of `epochs`, by which a search may give it up."""

    evaluation: EvaluationSpec
    epochs: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """One trial's work: a training, or evaluations that attack one model. `name` is unique in a sweep."""

    name: str
    training: TrainingSpec | None = None
    evaluations: tuple[EvaluationSpec, ...] = ()
    probe: Probe | None = None

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
            config: dict[str, Any] = {"unit": self.name, "kind": "train", "spec": self.training.model_dump_json()}
            if self.probe:
                config["probe"] = {
                    "evaluation": self.probe.evaluation.model_dump_json(),
                    "epochs": list(self.probe.epochs),
                }
            return config
        return {
            "unit": self.name,
            "kind": "evaluate",
            "evaluations": [spec.model_dump_json() for spec in self.evaluations],
        }


def fingerprints(unit: Unit) -> tuple[str, ...]:
    """Return what a unit will put into the store."""
    return tuple(spec.fingerprint for spec in unit.specs)


def _evaluations(specs: Iterable[EvaluationSpec], slots: int, numbers: Iterator[int]) -> Iterable[Unit]:
    """Group evaluations by what is attacked, and whether the result is judged elsewhere.

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
            yield Unit(f"{kind}-{model}-{next(numbers)}", evaluations=tuple(part))
