"""TODO: one line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from trainables.attacks.spec import AttackSpec

BATCH = 256
TOLERANCE = 1e-4  # of eps; float32 rounding of origin + perturbation


@dataclass(frozen=True)
class Outcome:
    """What became of every example at one eps: correct [N] bool, prediction [N] int, distance [N] in the norm.

    `queries` counts the images that the attack had the view classify, all examples together. `values` are what a
    measure found, by name; the rest is then that of the unattacked images.
    """

    eps: float
    correct: np.ndarray
    prediction: np.ndarray
    distance: np.ndarray
    seconds: float
    queries: int = 0
    values: Mapping[str, np.ndarray] = field(default_factory=dict)


def checked(size: Tensor, images: Tensor, attack: AttackSpec, eps: float) -> Tensor:
    """Return the sizes [B] of the perturbations; raise RuntimeError if one is over eps, or an image not in [0, 1]."""
    low, high, largest = images.min().item(), images.max().item(), size.max().item()
    if not (low >= 0 and high <= 1 and largest <= eps * (1 + TOLERANCE) + 1e-6):  # so that NaN is outside
        raise RuntimeError(
            f"attack {attack.name} left its bounds: |x' - x|_{attack.norm} <= {eps} and 0 <= x' <= 1 must hold, "
            f"got {largest}, [{low}, {high}]"
        )
    return size


def outcome_of(
    eps: float, prediction: Tensor, labels: Tensor, distance: Tensor, start: float, *, queries: int = 0
) -> Outcome:
    """Copy to the CPU, which waits for the GPU, then take the time."""
    correct = (prediction == labels).cpu().numpy()
    arrays = correct, prediction.cpu().numpy().copy(), distance.cpu().numpy().copy()
    return Outcome(eps, *arrays, time.perf_counter() - start, queries)
