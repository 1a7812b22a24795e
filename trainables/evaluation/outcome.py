"""Outcome: the result of every example at one eps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from trainables.attacks.spec import AttackSpec
from trainables.judges import Judge

BATCH = 256
TOLERANCE = 1e-4  # of eps; float32 rounding of origin + perturbation


@dataclass(frozen=True)
class Outcome:
    """What became of every example at one eps.

    `score` [N] float32 and `correct` [N] bool are the judge's: what the answer is worth, and whether it is not broken.
    `prediction` [N, ...] is the answer, `distance` [N] the size of the perturbation in the attack's norm.

    `queries` counts the images that the attack had the view predict, all examples together. `values` are what a
    measure found, by name; the rest is then that of the unattacked images.
    """

    eps: float
    score: np.ndarray
    correct: np.ndarray
    prediction: np.ndarray
    distance: np.ndarray
    seconds: float
    queries: int = 0
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def mean_score(self) -> float:
        """The mean over the examples: the accuracy, where an answer is right or wrong."""
        return mean(self.score)


def mean(score: np.ndarray) -> float:
    """Return the mean of float32 scores [N] in double precision, so that counts stay exact."""
    return float(score.mean(dtype=np.float64))


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
    eps: float, prediction: Tensor, labels: Tensor, distance: Tensor, judge: Judge, start: float, *, queries: int = 0
) -> Outcome:
    """Copy to the CPU, which waits for the GPU, then take the time."""
    found = judge.score(prediction, labels), ~judge.broken(prediction, labels), prediction, distance
    score, correct, answer, size = (tensor.cpu().numpy().copy() for tensor in found)
    return Outcome(eps, score, correct, answer, size, time.perf_counter() - start, queries)
