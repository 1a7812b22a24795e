"""Criterion: a loss that an attack maximises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

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
