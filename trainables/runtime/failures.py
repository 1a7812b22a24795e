"""Why a unit of work failed: a class that tells the user what to change, and details that help to find out more."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from pydantic import ValidationError

from trainables.errors import InputError

OUT_OF_MEMORY = "out of memory"
DIVERGED = "diverged"
BAD_INPUT = "bad input"
BUG = "bug"
PROCESS_DIED = "process died"
NODE_LOST = "node lost"
NO_MODEL = "no model"
CPU_ALLOCATOR = "can't allocate memory"  # torch's words for the CPU, in a RuntimeError
SIGNS = {
    OUT_OF_MEMORY: ("OutOfMemoryError", "MemoryError", "out of memory", "memory pressure"),
    # until Ray notices that a node is gone, actors on it, new ones too, are unavailable
    NODE_LOST: ("actor is temporarily unavailable", "node has died", "node was terminated"),
}


class DivergedError(RuntimeError):
    """The loss stopped being a finite number, in `epoch`; `last` are the metrics of the epoch before, if any."""

    def __init__(self, metrics: dict[str, float], *, epoch: int, last: dict[str, float]) -> None:
        super().__init__(f"training must keep its metrics finite, got {metrics} in epoch {epoch}; before: {last}")
        self.epoch, self.last = epoch, last


def class_of(error: BaseException) -> str:
    """Name an error's class."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_ALLOCATOR in str(error):
        return OUT_OF_MEMORY
    if isinstance(error, DivergedError):
        return DIVERGED
    return BAD_INPUT if isinstance(error, InputError | ValidationError) else BUG


def failure_of(error: BaseException, *, log: str = "") -> dict[str, Any]:
    """Return a failure as the store keeps it: class, first line, traceback and, if it diverged, where it was."""
    where = {"epoch": error.epoch, "last_metrics": error.last} if isinstance(error, DivergedError) else {}
    return {
        "class": class_of(error),
        "error": f"{type(error).__name__}: {error}".partition("\n")[0],
        "traceback": "".join(traceback.format_exception(error)),
        "log": log,
        **where,
    }


def class_of_dead_process(text: str) -> str:
    """Name the class of a process's death from Ray's report of it and of earlier deaths of the same unit."""
    return next((kind for kind, signs in SIGNS.items() if any(sign in text for sign in signs)), PROCESS_DIED)
