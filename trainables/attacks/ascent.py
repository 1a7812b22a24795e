"""Steepest ascent inside a norm ball: the loop that FGSM, BIM, MIM and PGD share, and how its steps are set.

Clamps stand outside the graph: since torch 2.15 clamp has no gradient at its bounds, where attacked pixels lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norm import Norm, unit
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec


class SteppedSpec(AttackSpec):
    """Several steps, each `step_size` on the image scale or `relative_step` times eps (default: `travel` / steps)."""

    steps: PositiveInt = Field(10, description="number of steps")
    step_size: Annotated[float, Field(gt=0)] | None = Field(
        None, description="length of a step, on the scale of eps; null: from `relative_step`"
    )
    relative_step: Annotated[float, Field(gt=0)] | None = Field(
        None, description="length of a step as a share of eps; null: `travel` / steps"
    )
    travel: ClassVar[float] = 1.0

    @model_validator(mode="after")
    def _one_step_size(self) -> SteppedSpec:
        if self.step_size is not None and self.relative_step is not None:
            raise ValueError(
                "give step_size or relative_step, not both, "
                f"got step_size={self.step_size}, relative_step={self.relative_step}"
            )
        largest = NORMS[self.norm].largest
        if largest is not None and self.step_size is not None and self.step_size > largest:
            raise ValueError(f"step_size must be in (0, {largest:g}] for norm {self.norm}, got {self.step_size}")
        return self

    def step(self, eps: float) -> float:
        """Return the size of a step in the ball of radius eps."""
        relative = self.travel / self.steps if self.relative_step is None else self.relative_step
        return relative * eps if self.step_size is None else self.step_size


def ascend(
    view: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    ball: Norm,
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    step: float,
    start: Tensor | None = None,
    decay: float = 0.0,
    fooled: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Raise `loss(view(x), labels)` [B] by `steps` steps inside the eps ball around `images` [B, C, H, W] and [0, 1].

    With `decay` a step goes along the sum of all gradients so far, each divided by its L1 norm, the older the less
    (Dong et al. 2018, Eq. 6). Where `fooled` is given, an example leaves the batch as it is as soon as
    `fooled(view(x), labels)` [B] holds for it, so the batch shrinks and the rest runs faster. The result of
    the last step is not checked here.
    """
    found, left = torch.empty_like(images), torch.arange(len(images), device=images.device)
    origin, target = images, labels
    point = images if start is None else (images + start).clamp_(0, 1)
    momentum = torch.zeros_like(images) if decay else images
    for _ in range(steps):
        point = point.detach().requires_grad_()
        output = view(point)
        (gradient,) = torch.autograd.grad(loss(output, target).sum(), point)
        point = point.detach()
        if fooled is not None and (done := fooled(output, target)).any():
            left, point, gradient, origin, target = dismiss(found, done, left, point, gradient, origin, target)
            if not len(left):
                return found
        if decay:
            gradient = momentum[left] = decay * momentum[left] + unit(gradient, NORMS["l1"].size)
        moved = ball.steepest(_free(gradient, point) if ball.sparse else gradient).mul_(step).add_(point).sub_(origin)
        point = ball.project(moved, eps).add_(origin).clamp_(0, 1)
    found[left] = point
    return found


def _free(gradient: Tensor, point: Tensor) -> Tensor:
    """Return the gradient without the pixels that it would move out of [0, 1]."""
    return gradient.masked_fill(((point <= 0) & (gradient < 0)) | ((point >= 1) & (gradient > 0)), 0)


def dismiss(found: Tensor, done: Tensor, left: Tensor, point: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Keep in `found` the points of the examples that are `done` [B]; return the rest of `left`, `point`, `others`.

    Row i of every other tensor belongs to row `left[i]` of `found`.
    """
    found[left[done]] = point[done]
    kept = (~done).nonzero()[:, 0]
    return tuple(rows[kept] for rows in (left, point, *others))


def best_of(
    attempts: int,
    attempt: Callable[[int, Tensor, Tensor, Noise], Tensor],
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    noise: Noise,
    *,
    goal: Goal,
    stop_early: bool,
) -> Tensor:
    """Return of each example the first attempt that fools the view or, where none does, the one of highest loss.

    An attempt gets its number and the images, labels and noise of its examples: with `stop_early`, those that no
    attempt before it fooled.
    """
    if attempts == 1:
        return attempt(0, images, labels, noise)
    best = torch.empty_like(images)
    highest = torch.full((len(labels),), -torch.inf, device=images.device)
    left = torch.arange(len(labels), device=images.device)
    for number in range(attempts):
        found = attempt(number, images[left], labels[left], noise.of(left))
        score = _score(view, found, labels[left], goal)
        better = (score > highest[left]) | (number == 0)
        best[left[better]], highest[left[better]] = found[better], score[better]
        if stop_early:
            left = left[score < torch.inf]
            if not len(left):
                break
    return best


@torch.no_grad()
def _score(view: nn.Module, images: Tensor, labels: Tensor, goal: Goal) -> Tensor:
    """Return the loss [B], infinite where the view is fooled."""
    output = view(images)
    return torch.where(goal.fooled(output, labels), torch.inf, goal.loss(output, labels))
