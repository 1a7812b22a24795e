"""Decoupled direction and norm, L2 (Rony et al., CVPR 2019, Algorithm 1)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.goal import Goal
from trainables.attacks.nearest import Nearest, nearest_by
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec


class DdnSpec(AttackSpec):
    """Steps along the gradient of the cross-entropy; their norm shrinks by gamma while they fool, and else grows."""

    name: Literal["ddn"] = "ddn"
    norm: Literal["l2"] = "l2"
    loss: Literal["cross_entropy"] = "cross_entropy"
    steps: PositiveInt = Field(100, description="number of steps")
    gamma: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="factor by which the length of the perturbation shrinks or grows in a step"
    )
    init_norm: PositiveFloat = Field(1.0, description="length of the perturbation at the start")


@nearest_by
def ddn(view: nn.Module, images: Tensor, labels: Tensor, *, spec: DdnSpec, goal: Goal, noise: Noise) -> Tensor:
    """Return the nearest of the steps' images that fools; unlike in the authors' code, the last one counts too.

    As there, the step falls from 1 to .01 along a cosine, no norm exceeds that of the farthest image, and where the
    gradient is 0 the direction is random. The images are not quantized.
    """
    l2 = NORMS["l2"]
    nearest, everyone = Nearest(images), torch.arange(len(images), device=images.device)
    farthest = l2.size(torch.maximum(images, 1 - images))
    norm = torch.full_like(farthest, spec.init_norm)
    point, delta = images, torch.zeros_like(images)
    for step in range(spec.steps):
        point = point.detach().requires_grad_()
        logits = view(point)
        (gradient,) = torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), point)
        point, fooled = point.detach(), goal.fooled(logits, labels)
        nearest.offer(everyone, point, l2.size(delta), fooled)
        alpha = 0.01 + 0.99 * (1 + math.cos(math.pi * step / spec.steps)) / 2
        delta = delta + alpha * _direction(gradient, noise, step)
        norm = torch.minimum(norm * torch.where(fooled, 1 - spec.gamma, 1 + spec.gamma), farthest)
        point = (images + norm[:, None, None, None] * l2.steepest(delta)).clamp(0, 1)
        delta = point - images
    with torch.no_grad():
        nearest.offer(everyone, point, l2.size(delta), goal.fooled(view(point), labels))
    return nearest.images


def _direction(gradient: Tensor, noise: Noise, step: int) -> Tensor:
    """Return the gradient's direction, or a random one where it is 0."""
    zero = gradient.flatten(1).abs().amax(1) == 0
    if zero.any():
        gradient = torch.where(zero[:, None, None, None], noise.draw(step), gradient)
    return NORMS["l2"].steepest(gradient)
