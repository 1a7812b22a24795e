"""What an attack raises, and by which logits it sees an example fooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss [B] of a view's output and labels [B], and the logits [B, classes] within that output."""

    loss: Loss
    logits_of: Callable[[Tensor], Tensor] = lambda output: output

    def fooled(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return whether each example [B] is misclassified."""
        return self.logits_of(output).argmax(1) != labels


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return max_{j != y} z_j - z_y [B] (Carlini and Wagner 2017, f_6 without its floor)."""
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(1) - own[:, 0]


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the difference of logits ratio [B], free of the logits' scale (Croce and Hein 2020, Eq. 6).

    Two classes leave nothing to divide by but their own difference, which would make it constant: then it is `margin`.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    ordered = logits.sort(dim=1, descending=True).values
    return margin(logits, labels) / (ordered[:, 0] - ordered[:, 2]).clamp_min(1e-12)


CROSS_ENTROPY = Objective(lambda logits, labels: cross_entropy(logits, labels, reduction="none"))
OBJECTIVES = {
    "cross_entropy": CROSS_ENTROPY,
    "margin": Objective(margin),
    "dlr": Objective(dlr),
}
