"""SPSA: ascent along a gradient that is estimated from pairs of queries (Uesato et al. 2018, Algorithm 1)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from trainables.attacks.ascent import dismiss
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.spec import AttackSpec

CHUNK = 512  # images that the view classifies at a time
BETAS, TINY = (0.9, 0.999), 1e-8  # Adam's (Kingma and Ba 2015)


class SpsaSpec(AttackSpec):
    """`pairs` of queries at x + delta v and x - delta v estimate the gradient of each of Adam's `steps`.

    delta, lr and the margin loss are the paper's (Sec. 5); steps and pairs are CleverHans's, the paper goes up to
    4,096 pairs. Like CleverHans, it starts at a random point of the ball (default: `random_start=True`).
    """

    name: Literal["spsa"] = "spsa"
    norm: Literal["linf"] = "linf"
    loss: str = Field("margin", description="the criterion that the attack maximises")
    steps: PositiveInt = Field(100, description="of Adam")
    pairs: PositiveInt = Field(64, description="pairs of queries for each step")
    delta: float = Field(0.01, gt=0, le=1, description="how far from the image the queries are, on its scale")
    lr: PositiveFloat = Field(0.01, description="learning rate of Adam")
    random_start: bool = Field(True, description="start at a random point of the ball; false: at the image")


def spsa(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: SpsaSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return the images [B, C, H, W] after all of Adam's steps, each clipped to the ball and to [0, 1]."""
    found, left = torch.empty_like(images), torch.arange(len(images), device=images.device)
    origin, target = images, labels
    point = (images + eps * noise.draw(0)).clamp_(0, 1) if spec.random_start else images
    mean, square = torch.zeros_like(images), torch.zeros_like(images)
    for step in range(1, spec.steps + 1):
        if stop_early and (fooled := _fooled(view, point, target, goal)).any():
            left, point, origin, target, mean, square = dismiss(
                found, fooled, left, point, origin, target, mean, square
            )
            if not len(left):
                return found
        gradient = _estimate(view, point, target, goal, noise.of(left), stream=step, spec=spec)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        rms = (square / (1 - BETAS[1] ** step)).sqrt_().add_(TINY)
        moved = (spec.lr / (1 - BETAS[0] ** step) * mean).div_(rms).add_(point).sub_(origin)
        point = moved.clamp_(-eps, eps).add_(origin).clamp_(0, 1)
    found[left] = point
    return found


@torch.no_grad()
def _fooled(view: nn.Module, points: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    return goal.fooled(view(points), labels)


@torch.no_grad()
def _estimate(
    view: nn.Module, points: Tensor, labels: Tensor, goal: Goal, noise: Noise, *, stream: int, spec: SpsaSpec
) -> Tensor:
    """Return the mean of (f(x + delta v) - f(x - delta v)) / (2 delta) v over random signs v, [B, C, H, W]."""
    gradient = torch.empty_like(points)
    for some in torch.arange(len(points), device=points.device).split(max(1, CHUNK // (2 * spec.pairs))):
        signs = noise.of(some).signs(stream, spec.pairs)
        away = spec.delta * signs
        queries = (points[some][:, None] + torch.cat([away, -away], 1)).flatten(0, 1)
        output = torch.cat([view(chunk) for chunk in queries.split(CHUNK)])
        values = goal.loss(output, labels[some].repeat_interleave(2 * spec.pairs))
        plus, minus = values.reshape(len(some), 2, spec.pairs).unbind(1)
        weights = (plus - minus)[:, None] / (2 * spec.delta * spec.pairs)
        gradient[some] = (weights @ signs.flatten(2)).reshape(points[some].shape)
    return gradient
