"""Goal: the aim of an attack."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainables.attacks.criterion import Criterion
from trainables.judges import Judge


@dataclass(frozen=True)
class Goal:
    """The criterion that an attack maximises, and the judge that says when an example is broken."""

    criterion: Criterion
    judge: Judge

    def loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the criterion [B] of a view's output [B, ...]."""
        return self.criterion.loss(output, targets)

    def fooled(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return whether each answer [B] in a view's output [B, ...] is broken."""
        return self.judge.broken(self.judge.predict(self.criterion.answer_of(output)), targets)
