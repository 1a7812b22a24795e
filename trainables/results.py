"""Checkpoint and Record: the results of work; Shelf: the storage that work keeps them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from trainables.evaluation.outcome import mean
from trainables.specs import EvaluationSpec, TrainingSpec


class Story(NamedTuple):
    """How a trained model came about: its spec, the metrics of each epoch and where it was trained."""

    spec: TrainingSpec
    history: list[dict[str, float]]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: its spec, the metrics of each epoch, where it was trained, and its tensors by name."""

    spec: TrainingSpec
    history: list[dict[str, float]]
    provenance: Mapping[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Record:
    """The outcome of one evaluation at one eps, example by example, in the order of the split.

    `score[i]`: what the answer to example i was worth, in [0, 1], under the attack if there is one. `correct[i]`:
    whether it was not broken, which for a class is the same. `prediction[i]`: the answer. `distance[i]`: the
    perturbation's size in the attack's norm (0 where the example was not perturbed). `queries`: the images that the
    attack had predicted, all examples together. `values` are what a measure found, by name; the record is then of
    eps 0, and the outcomes are those of the unattacked images.
    """

    evaluation: EvaluationSpec
    eps: float
    score: np.ndarray
    correct: np.ndarray
    prediction: np.ndarray
    distance: np.ndarray
    seconds: float
    queries: int
    provenance: Mapping[str, Any]
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def mean_score(self) -> float:
        """The mean over the examples: the accuracy, where an answer is right or wrong."""
        return mean(self.score)

    @property
    def numbers(self) -> dict[str, float]:
        """A number for each of the values but matrices: the share of a yes or no, the median over the examples."""
        found: dict[str, float] = {}
        for name, value in self.values.items():
            if value.dtype == bool:
                found[f"share {name}"] = float(value.mean())
            elif value.ndim == 1:
                found[f"median {name}"] = float(np.median(value))
            elif value.ndim == 0:
                found[name] = float(value)
        return found


class Shelf(Protocol):
    """Where results are kept, as far as `trainables.work` needs it; `orchestrator.storage.Store` is one."""

    def has(self, kind: str, fingerprint: str) -> bool: ...

    def delete(self, kind: str, fingerprint: str) -> None: ...

    def save_checkpoint(
        self,
        spec: TrainingSpec,
        tensors: Mapping[str, Tensor],
        history: Sequence[Mapping[str, float]],
        provenance: Mapping[str, Any] | None = None,
    ) -> None: ...

    def load_checkpoint(self, fingerprint: str) -> Checkpoint: ...

    def load_history(self, fingerprint: str) -> Story: ...

    def save_state(self, fingerprint: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None: ...

    def load_state(self, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None: ...

    def save_crafted(self, fingerprint: str, tensors: Mapping[str, Tensor]) -> None: ...

    def load_crafted(self, fingerprint: str) -> dict[str, Tensor]: ...

    def save_records(self, records: Sequence[Record]) -> None: ...

    def load_records(self, fingerprint: str) -> list[Record]: ...
