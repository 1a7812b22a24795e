"""Why a unit of work failed: a class that tells the user what to change, and details that help to find out more."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
        name = "loss" if "loss" in wrong else wrong[0]
        lr = f" (lr {metrics['lr']:g})" if "lr" in metrics else ""
        super().__init__(f"the {name} became {metrics[name]} in epoch {epoch}{lr}; lower optimisation.lr")
        self.epoch, self.last = epoch, last


@dataclass(frozen=True)
class Failure:
    """Why a unit failed: its class (`kind`), the error's first line, the traceback and where the worker's output is.

    `epoch` and `last_metrics` are there if the training diverged: the epoch, and the metrics of the epoch before.
    `unit` is the name of the unit that failed, once the failure is stored.
    """

    kind: str
    error: str
    traceback: str = ""
    log: str = ""
    epoch: int | None = None
    last_metrics: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the failure as the store and Ray Tune take it: a JSON object whose key for `kind` is "class"."""
        where = {} if self.epoch is None else {"epoch": self.epoch, "last_metrics": dict(self.last_metrics)}
        unit = {"unit": self.unit} if self.unit else {}
        return {"class": self.kind, "error": self.error, "traceback": self.traceback, "log": self.log, **where, **unit}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Failure:
        """Return the failure in a JSON object, of which older programs wrote fewer keys."""
        return cls(
            kind=found.get("class", BUG),
            error=str(found.get("error", "")),
            traceback=found.get("traceback", ""),
            log=found.get("log", ""),
            epoch=found.get("epoch"),
            last_metrics=found.get("last_metrics", {}),
            unit=found.get("unit", ""),
        )


def class_of(error: BaseException) -> str:
    """Name an error's class."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or CPU_ALLOCATOR in str(error):
        return OUT_OF_MEMORY
    if isinstance(error, DivergedError):
        return DIVERGED
    return BAD_INPUT if isinstance(error, InputError | ValidationError) else BUG


def failure_of(error: BaseException, *, log: str = "") -> Failure:
    """Return an error as a failure; `log` is where the worker's output is."""
    diverged = error if isinstance(error, DivergedError) else None
    return Failure(
        kind=class_of(error),
        error=f"{type(error).__name__}: {error}".partition("\n")[0],
        traceback="".join(traceback.format_exception(error)),
        log=log,
        epoch=diverged.epoch if diverged else None,
        last_metrics=diverged.last if diverged else {},
    )


def class_of_dead_process(text: str) -> str:
    """Name the class of a process's death from Ray's report of it and of earlier deaths of the same unit."""
    return next((kind for kind, signs in SIGNS.items() if any(sign in text for sign in signs)), PROCESS_DIED)
