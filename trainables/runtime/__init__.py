"""The process that trains and evaluates: random states, memory, modes of models, failures, provenance."""

from __future__ import annotations

from trainables.runtime.failures import DivergedError, Failure, failure_of
from trainables.runtime.memory import let_go, peak_memory
from trainables.runtime.modes import held
from trainables.runtime.randomness import seeded
from trainables.runtime.statetree import pack, unpack

__all__ = [
    "DivergedError",
    "Failure",
    "failure_of",
    "held",
    "let_go",
    "pack",
    "peak_memory",
    "seeded",
    "unpack",
]
