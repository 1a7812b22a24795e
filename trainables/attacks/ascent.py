"""Steepest ascent inside a norm ball: FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018).

Clamps stand outside the graph: since torch 2.15 clamp has no gradient at its bounds, where attacked pixels lie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.norms import NORMS
from trainables.prototype_loss import joint_logits, joint_loss
from trainables.specs import AttackSpec

Starts = Callable[[int], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """What an attack raises, [B] of a view's output and labels, and the logits by which it sees an example fooled."""

    loss: Loss
    logits_of: Callable[[Tensor], Tensor] = lambda output: output

    def fooled(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return whether each example [B] is misclassified."""
        return self.logits_of(output).argmax(1) != labels


CROSS_ENTROPY = Objective(lambda logits, labels: cross_entropy(logits, labels, reduction="none"))
OBJECTIVES = {"cross_entropy": CROSS_ENTROPY, "joint": Objective(joint_loss, joint_logits)}


class FgsmSpec(AttackSpec):
    """One step of size eps along the steepest direction."""

    name: Literal["fgsm"] = "fgsm"


class PgdSpec(AttackSpec):
    """Projected gradient ascent from a random start.

    A step is `step_size` on the image scale or, without one, `relative_step` times eps (default: 2.5 / steps).
    """

    name: Literal["pgd"] = "pgd"
    steps: PositiveInt = 40
    step_size: Annotated[float, Field(gt=0, le=1)] | None = None
    relative_step: Annotated[float, Field(gt=0)] | None = None
    random_start: bool = True
    restarts: PositiveInt = 1

    @model_validator(mode="after")
    def _one_step_size(self) -> PgdSpec:
        if self.step_size is not None and self.relative_step is not None:
            raise ValueError(
                "give step_size or relative_step, not both, "
                f"got step_size={self.step_size}, relative_step={self.relative_step}"
            )
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts without random_start repeat themselves, got restarts={self.restarts}")
        return self

    def step(self, eps: float) -> float:
        """Return the size of a step in the ball of radius eps."""
        relative = 2.5 / self.steps if self.relative_step is None else self.relative_step
        return relative * eps if self.step_size is None else self.step_size


def fgsm(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: FgsmSpec,
    starts: Starts,
    stop_early: bool,
) -> Tensor:
    """Return images + eps * steepest direction, clipped to [0, 1]."""
    return ascend(
        view,
        images,
        labels,
        eps=eps,
        norm=spec.norm,
        objective=OBJECTIVES[spec.loss],
        steps=1,
        step=eps,
        stop_early=stop_early,
    )


def pgd(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: PgdSpec,
    starts: Starts,
    stop_early: bool,
) -> Tensor:
    """Return for each example the restart that fools the view or, where none does, of highest loss."""
    norm, objective = NORMS[spec.norm], OBJECTIVES[spec.loss]
    best, best_score = images, None
    for restart in range(spec.restarts):
        start = eps * norm.start(starts(restart)) if spec.random_start else None
        found = ascend(
            view,
            images,
            labels,
            eps=eps,
            norm=spec.norm,
            objective=objective,
            steps=spec.steps,
            step=spec.step(eps),
            start=start,
            stop_early=stop_early,
        )
        if spec.restarts == 1:
            return found
        score = _score(view, found, labels, objective)
        better = torch.ones_like(labels, dtype=torch.bool) if best_score is None else score > best_score
        best_score = score if best_score is None else torch.where(better, score, best_score)
        best = torch.where(better[:, None, None, None], found, best)
    return best


@torch.no_grad()
def _score(view: nn.Module, images: Tensor, labels: Tensor, objective: Objective) -> Tensor:
    """Return the loss [B], infinite where the view is fooled."""
    output = view(images)
    return torch.where(objective.fooled(output, labels), torch.inf, objective.loss(output, labels))


def ascend(
    view: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    norm: str,
    objective: Objective,
    steps: int,
    step: float,
    start: Tensor | None = None,
    stop_early: bool = False,
) -> Tensor:
    """Raise the objective by `steps` steps inside the eps ball around `images` [B, C, H, W] and inside [0, 1].

    With `stop_early` an example that is already misclassified leaves the batch as it is, so the batch shrinks
    and what is left runs faster. The result of the last step is not checked here.
    """
    ball = NORMS[norm]
    found = images.clone()
    left = torch.arange(len(images), device=images.device)
    origin, target = images, labels
    point = images if start is None else (images + start).clamp(0, 1)
    for _ in range(steps):
        point = point.detach().requires_grad_()
        output = view(point)
        (gradient,) = torch.autograd.grad(objective.loss(output, target).sum(), point)
        point = point.detach()
        if stop_early:
            fooled = objective.fooled(output, target)
            found[left[fooled]] = point[fooled]
            keep = ~fooled
            left, origin, target = left[keep], origin[keep], target[keep]
            point, gradient = point[keep], gradient[keep]
            if not len(left):
                return found
        moved = ball.project(point + step * ball.steepest(gradient) - origin, eps)
        point = (origin + moved).clamp(0, 1)
    found[left] = point
    return found
