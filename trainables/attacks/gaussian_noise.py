"""Gaussian noise of growing size, the gradient-free attack of rbf_mapping's Table 1."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from trainables.attacks.ascent import best_of
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec


class GaussianNoiseSpec(AttackSpec):
    """`levels` draws, of sizes eps / levels, 2 eps / levels, ..., eps; the first that fools counts.

    The paper gives Foolbox's "eps=20", most plausibly Foolbox 1's 20 levels; its noise of level e had the standard
    deviation e / sqrt 3 (a uniform draw's in [-e, e]) and was multiplied by e once more, which is left out here.
    """

    name: Literal["gaussian_noise"] = "gaussian_noise"
    norm: Literal["linf", "l2"] = "linf"
    levels: PositiveInt = Field(20, description="sizes of noise that are tried up to eps")


def gaussian_noise(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: GaussianNoiseSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return for each example the lowest level that fools the view or, where none does, the one of highest loss.

    Linf: a level e is N(0, e / sqrt 3), clipped to the ball. L2: a normal direction of length e.
    """
    ball = NORMS[spec.norm]

    def level_of(number: int, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        level, normal = eps * (number + 1) / spec.levels, noise.normal(number)
        delta = level / math.sqrt(3) * normal if spec.norm == "linf" else level * ball.steepest(normal)
        return ball.project(delta, eps).add_(images).clamp_(0, 1)

    return best_of(spec.levels, level_of, view, images, labels, noise, goal=goal, stop_early=stop_early)
