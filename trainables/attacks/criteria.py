"""The criteria by name. Adding one is a file and a line at the end of this one, or a line in a defense's own file."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.attacks.criterion import CRITERIA, Criterion, check_reads


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


def cross_entropy_of_each(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log softmax(z)_y [B], the loss that most training minimises."""
    return cross_entropy(logits, labels, reduction="none")


CRITERIA.add_all(
    cross_entropy=Criterion(cross_entropy_of_each),
    margin=Criterion(margin),
    dlr=Criterion(dlr),
)

__all__ = ["CRITERIA", "Criterion", "check_reads", "dlr", "margin"]
