"""Criteria by name: what an attack maximises. Adding one is a function and a line here, or in a defense's own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.registry import Registry, names_of

CLASSES = frozenset({"classification"})


@dataclass(frozen=True)
class Criterion:
    """A loss of a view's output and targets, one number an example, which an attack maximises.

    `loss`: outputs and targets [B, ...] -> [B]. `answer_of`: the part of a view's output that is the model's own
    output; all of it by default. `reads`: the view whose output the loss needs (None: any view that gives a model's
    output). `judges`: names of the judges whose kind of answer it is for (None: any).
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    answer_of: Callable[[Tensor], Tensor] = lambda output: output
    reads: str | None = None
    judges: frozenset[str] | None = CLASSES


CRITERIA: Registry[Criterion] = Registry("criterion", "criteria", needs=names_of(Criterion))


def check_reads(criterion: str, view: str) -> None:
    """Raise ValueError unless a criterion that needs its own view gets that view, and no other criterion gets it."""
    reserved = {known.reads for known in CRITERIA.imported().values() if known.reads}
    wanted = CRITERIA[criterion].reads
    if wanted != view if wanted else view in reserved:
        pair = f"got loss {criterion} and view {view}"
        if wanted:
            raise ValueError(f"loss {criterion} goes with view {wanted}, {pair}")
        fitting = ", ".join(name for name, known in CRITERIA.imported().items() if known.reads == view)
        raise ValueError(f"loss {fitting} goes with view {view}, {pair}")


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
