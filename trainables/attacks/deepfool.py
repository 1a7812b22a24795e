"""DeepFool, L2 and Linf (Moosavi-Dezfooli et al., CVPR 2016, Algorithm 2 and Eqs. 10-11)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from trainables.attacks.goal import Goal
from trainables.attacks.nearest import nearest_by
from trainables.attacks.noise import Noise
from trainables.attacks.norm import TINY
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec

BEYOND = 1e-4  # a step's length past the boundary of the linear model, as in the authors' code


class DeepFoolSpec(AttackSpec):
    """Steps onto the nearest boundary of the linear model at the point, which is of differences of logits."""

    name: Literal["deepfool"] = "deepfool"
    norm: Literal["linf", "l2"] = "linf"
    loss: Literal["margin"] = "margin"
    steps: PositiveInt = Field(50, description="number of steps at most")
    overshoot: Annotated[float, Field(ge=0)] = Field(
        0.02, description="how far behind the boundary the last point is, relative to the way there"
    )
    candidates: Annotated[int, Field(ge=2)] | None = Field(
        10, description="as many classes, the likeliest at first with the label, are looked at; null: all"
    )


@nearest_by
def deepfool(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: DeepFoolSpec, goal: Goal, noise: Noise
) -> Tensor:
    """Return the first of the steps' images that fools, or the original; a fooled example leaves the batch.

    As in the authors' code, each image is the original + (1 + overshoot) * all steps so far; unlike there, it is
    clipped to [0, 1]. The class to leave is the label, and the other candidates stay those of the first image.
    """
    found = images.clone()
    left = torch.arange(len(images), device=images.device)
    point, taken = images, torch.zeros_like(images)
    others = _others(view, images, labels, spec.candidates)
    for _ in range(spec.steps):
        taken = taken + _step(view, point, labels, others, norm=spec.norm)
        point = (images + (1 + spec.overshoot) * taken).clamp(0, 1)
        with torch.no_grad():  # in a pass of its own, so that no gradient is computed for images that leave now
            standing = ~goal.fooled(view(point), labels)
        found[left[~standing]] = point[~standing]
        left, images, labels, others = left[standing], images[standing], labels[standing], others[standing]
        point, taken = point[standing], taken[standing]
        if not len(left):
            break
    return found


@torch.no_grad()
def _others(view: nn.Module, images: Tensor, labels: Tensor, candidates: int | None) -> Tensor:
    """Return the classes [B, K - 1] that are looked at beside the label, the likeliest first."""
    logits = view(images).scatter(1, labels[:, None], -torch.inf)
    count = logits.shape[1] if candidates is None else min(candidates, logits.shape[1])
    return logits.topk(count - 1, dim=1).indices


def _step(view: nn.Module, point: Tensor, labels: Tensor, others: Tensor, *, norm: str) -> Tensor:
    """Return the step [B, C, H, W] that takes the linear model at `point` just over its nearest boundary."""
    point = point.detach().requires_grad_()
    logits = view(point)
    gaps = logits.gather(1, others) - logits.gather(1, labels[:, None])
    gradients = torch.stack(
        [torch.autograd.grad(gap.sum(), point, retain_graph=True)[0] for gap in gaps.unbind(1)], dim=1
    )
    directions = NORMS[norm].steepest(gradients.flatten(0, 1)).unflatten(0, gaps.shape)
    slopes = (gradients * directions).flatten(2).sum(2)  # the dual norm of the gradient
    distances = gaps.detach().abs() / slopes.clamp_min(TINY)
    nearest = distances.argmin(1)
    rows = torch.arange(len(point), device=point.device)
    return (distances[rows, nearest] + BEYOND)[:, None, None, None] * directions[rows, nearest]
