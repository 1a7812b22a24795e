"""Randomness of an attack that depends on the example, not on its batch.

The noise of pixel j of example i is a hash of (seed, stream, i, j), computed for a whole batch at once: the same
on every device, for every batch size, and whichever other examples are still being attacked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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


def _hashes(indices: Tensor, count: int, *, seed: int, stream: int) -> Tensor:
    """Return `count` words of 64 random bits [B, count] for each of the examples at `indices` [B]."""
    numbers = torch.arange(count, device=indices.device)
    key = _mix(torch.tensor([seed * 1_000_003 + stream], device=indices.device) * GAMMA)
    streams = _mix((indices + 1) * GAMMA + key)
    return _mix(streams[:, None] + (numbers + 1) * GAMMA)


def uniform_noise(indices: Tensor, shape: tuple[int, ...], *, seed: int, stream: int = 0) -> Tensor:
    """Return float32 noise [B, *shape], uniform in [-1, 1), for the examples at `indices` [B]."""
    bits = _shifted(_hashes(indices, math.prod(shape), seed=seed, stream=stream), 40)
    return (bits.float() / 2**23 - 1).reshape(len(indices), *shape)


def random_signs(indices: Tensor, shape: tuple[int, ...], count: int, *, seed: int, stream: int = 0) -> Tensor:
    """Return `count` float32 patterns [B, count, *shape] of -1 and 1: one bit a sign, 64 patterns from a word."""
    words = _hashes(indices, math.ceil(count / 64) * math.prod(shape), seed=seed, stream=stream)
    places = torch.arange(64, device=indices.device)[:, None]
    bits = (words.reshape(len(indices), -1, 1, math.prod(shape)) >> places) & 1
    return bits.flatten(1, 2)[:, :count].float().mul_(2).sub_(1).reshape(len(indices), count, *shape)


@dataclass(frozen=True)
class Noise:
    """The noise of a batch: of the examples at `indices` [B] of the split, each of `shape` [C, H, W].

    Every draw has a stream (a restart, a step): the same one gives the same noise again, whatever the kind.
    """

    indices: Tensor
    shape: tuple[int, ...]
    seed: int

    def draw(self, stream: int) -> Tensor:
        """Return noise [B, *shape], uniform in [-1, 1)."""
        return uniform_noise(self.indices, self.shape, seed=self.seed, stream=stream)

    def normal(self, stream: int) -> Tensor:
        """Return standard normal noise [B, *shape]."""
        return math.sqrt(2) * torch.erfinv(self.draw(stream).clamp_(-1 + 1e-6, 1 - 1e-6))

    def signs(self, stream: int, count: int) -> Tensor:
        """Return `count` patterns of -1 and 1 [B, count, *shape]."""
        return random_signs(self.indices, self.shape, count, seed=self.seed, stream=stream)

    def of(self, kept: Tensor) -> Noise:
        """Return the noise of some of the examples: `kept` is a mask or indices into the batch."""
        return replace(self, indices=self.indices[kept])
