"""DAA: PGD of several particles that push each other apart (Zheng, Chen, Ren 2019, DAA-DGF)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from trainables.attacks.ascent import SteppedSpec, dismiss
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norm import TINY


class DaaSpec(SteppedSpec):
    """The DGF variant: a particle goes along the sign of its own gradient + `interaction` x the push of the others.

    The paper's particles are the images of a batch, so that what is found for an image depends on which others are
    there. Here they are `particles` random starts of the same image: the attack on an example is its own, and
    interaction 0 is PGD with that many restarts. The paper's other variant, blob, does not survive this: starts of
    one image are so near each other that its pull outweighs the gradient and draws them into one point (measured:
    robust accuracy .28 where PGD leaves .16). In DGF they keep apart instead.

    interaction is the authors' for cross-entropy (their code: -c = .001; .01 for a margin loss). It counts where the
    gradient all but vanishes, and there it can hinder: beside it stands `pgd`, or a loss that does not vanish. The
    default step is `pgd`'s, 2.5 eps / steps.
    """

    name: Literal["daa"] = "daa"
    norm: Literal["linf"] = "linf"
    steps: PositiveInt = Field(40, description="number of steps")
    particles: int = Field(4, ge=2, description="random starts of each image, which push each other apart")
    interaction: float = Field(1e-3, ge=0, description="strength of the push; 0 is PGD with as many restarts")
    travel: ClassVar[float] = 2.5


def daa(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: DaaSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return of each example the particle that fools the view or, where none does, the one of highest loss."""
    examples = torch.arange(len(images), device=images.device)
    return torch.cat(
        [
            _attack(
                view,
                images[some],
                labels[some],
                eps=eps,
                spec=spec,
                goal=goal,
                noise=noise.of(some),
                stop_early=stop_early,
            )
            for some in examples.split(math.ceil(len(images) / spec.particles))  # a pass is no larger than the batch
        ]
    )


def _attack(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: DaaSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    found, left = torch.empty_like(images), torch.arange(len(images), device=images.device)
    origin, target = images[:, None], labels
    starts = torch.stack([noise.draw(particle) for particle in range(spec.particles)], 1)
    points = (origin + eps * starts).clamp_(0, 1)  # [B, particles, C, H, W]
    for _ in range(spec.steps):
        points.requires_grad_()
        loss, score = _judged(view, points, target, goal)
        (gradients,) = torch.autograd.grad(loss.sum(), points)
        points = points.detach()
        if stop_early and (fooled := score.isinf().any(1)).any():
            best = _best(points, score)
            left, _, points, gradients, origin, target = dismiss(
                found, fooled, left, best, points, gradients, origin, target
            )
            if not len(left):
                return found
        direction = gradients + spec.interaction * push(points.flatten(2)).reshape(points.shape)
        moved = direction.sign_().mul_(spec.step(eps)).add_(points).sub_(origin)
        points = moved.clamp_(-eps, eps).add_(origin).clamp_(0, 1)
    with torch.no_grad():
        found[left] = _best(points, _judged(view, points, target, goal)[1])
    return found


def push(points: Tensor) -> Tensor:
    """Return for each of M particles i [B, M, d] the sum over j of (1 - r_ij) exp(-r_ij) (x_i - x_j).

    r_ij = |x_i - x_j|^2 / 2 h^2, h^2 = median |x_i - x_j|^2 / (2 log (M + 1)), as in the authors' code: what is nearer
    than sqrt 2 h pushes, what is farther pulls.
    """
    count = points.shape[1]
    squares = torch.cdist(points, points).square()
    first, second = torch.triu_indices(count, count, offset=1, device=points.device)
    width = squares[:, first, second].median(dim=1).values / (2 * math.log(count + 1))
    ratio = squares / (2 * width[:, None, None].clamp_min(TINY))
    weight = (1 - ratio) * torch.exp(-ratio)
    return weight.sum(2, keepdim=True) * points - weight @ points


def _judged(view: nn.Module, points: Tensor, labels: Tensor, goal: Goal) -> tuple[Tensor, Tensor]:
    """Return each particle's loss [B, particles], and the same but infinite where it fools the view."""
    output, repeated = view(points.flatten(0, 1)), labels.repeat_interleave(points.shape[1])
    loss = goal.loss(output, repeated)
    score = torch.where(goal.fooled(output, repeated), torch.inf, loss.detach())
    return loss, score.reshape(points.shape[:2])


def _best(points: Tensor, score: Tensor) -> Tensor:
    return points[torch.arange(len(points), device=points.device), score.argmax(1)]
