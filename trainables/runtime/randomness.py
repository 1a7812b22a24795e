"""The global torch RNGs (dropout, initial weights), held still around a training and restored after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the RNGs of the CPU and of `device` inside the block; restore them after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def resumed(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Go on from states that `current` gave, inside the block; restore the RNGs after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_rng_state(states[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(states[1], device)
        yield


def current(device: torch.device) -> list[Tensor]:
    """Return the RNGs' states: of the CPU and, if that is where it runs, of the GPU."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
