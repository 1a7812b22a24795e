"""Random starts that depend on the example, not on its batch.

The noise of pixel j of example i is a hash of (seed, restart, i, j), computed for a whole batch at once: the same
on every device, for every batch size, and whichever other examples are still being attacked.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _wrapped(value: int) -> int:
    """Return the int64 of the same 64 bits."""
    return (value + 2**63) % 2**64 - 2**63


# SplitMix64 (Steele, Lea, Flood 2014): the increment, then pairs of a right shift and a multiplier.
GAMMA = _wrapped(0x9E3779B97F4A7C15)
ROUNDS = ((30, _wrapped(0xBF58476D1CE4E5B9)), (27, _wrapped(0x94D049BB133111EB)))


def _mix(x: Tensor) -> Tensor:
    for shift, factor in ROUNDS:
        x = (x ^ _shifted(x, shift)) * factor
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift right with zeros, which int64's own shift does not."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def uniform_noise(indices: Tensor, shape: tuple[int, ...], *, seed: int, restart: int = 0) -> Tensor:
    """Return float32 noise [B, *shape], uniform in [-1, 1), for the examples at `indices` [B]."""
    numbers = torch.arange(torch.Size(shape).numel(), device=indices.device)
    key = _mix(torch.tensor([seed * 1_000_003 + restart], device=indices.device) * GAMMA)
    streams = _mix((indices + 1) * GAMMA + key)
    bits = _shifted(_mix(streams[:, None] + (numbers + 1) * GAMMA), 40)
    return (bits.float() / 2**23 - 1).reshape(len(indices), *shape)
