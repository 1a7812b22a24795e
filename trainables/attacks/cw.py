"""Carlini and Wagner's attack, L2 (IEEE S&P 2017, Section VI-A)."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from trainables.attacks.criteria import margin
from trainables.attacks.goal import Goal
from trainables.attacks.nearest import Nearest, nearest_by
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec

INSIDE = 0.999999  # of [-1, 1]: where atanh is finite, as in the authors' code
CHECKS = 10  # as often an example is asked for PROGRESS; without it, its descent is over
PROGRESS = 0.9999  # of the least loss at the check before
LEAST = 50  # steps between two checks: Adam swings for some tens of them


class CwSpec(AttackSpec):
    """Adam on |x' - x|^2 + c max(confidence - margin, 0) over w, where x' = (tanh w + 1) / 2, and a search for c.

    The search starts from c = `initial_const`, and one step of it is this c alone. Defaults are the authors' code's.
    """

    name: Literal["cw"] = "cw"
    norm: Literal["l2"] = "l2"
    loss: Literal["margin"] = "margin"
    steps: PositiveInt = Field(1000, description="of Adam for each constant")
    lr: PositiveFloat = Field(0.01, description="learning rate of Adam")
    initial_const: PositiveFloat = Field(1e-3, description="first constant c, the weight of the margin")
    search_steps: PositiveInt = Field(9, description="constants that the binary search tries")
    confidence: Annotated[float, Field(ge=0)] = Field(
        0.0, description="margin by which a class must be wrong (the paper calls it kappa)"
    )


@nearest_by
def cw(view: nn.Module, images: Tensor, labels: Tensor, *, spec: CwSpec, goal: Goal, noise: Noise) -> Tensor:
    """Return the nearest image of all descents whose margin exceeds the confidence.

    c is multiplied by 10 until it succeeds, and then bisected. Unlike in the authors' code, each example stops by
    its own loss and not by its batch's, by the least so far and not by the last, and the last update counts too.
    """
    nearest = Nearest(images)
    const = torch.full((len(images),), spec.initial_const, device=images.device)
    low, high = torch.zeros_like(const), torch.full_like(const, torch.inf)
    for _ in range(spec.search_steps):
        succeeded = _descend(view, images, labels, const, nearest=nearest, spec=spec)
        low, high = torch.where(succeeded, low, const), torch.where(succeeded, const, high)
        const = torch.where(high.isinf(), 10 * const, (low + high) / 2)
    return nearest.images


class _State(NamedTuple):
    """Of the examples that are left, B: their places in the batch, what they are, Adam's, and their losses."""

    where: Tensor
    images: Tensor
    labels: Tensor
    const: Tensor
    w: Tensor
    first: Tensor
    second: Tensor
    least: Tensor  # loss [B]
    least_before: Tensor  # at the last check


def _descend(
    view: nn.Module, images: Tensor, labels: Tensor, const: Tensor, *, nearest: Nearest, spec: CwSpec
) -> Tensor:
    """Minimise with `const` [N] as c; offer images that fool to `nearest` and return which were found [N]."""
    succeeded = torch.zeros_like(labels, dtype=torch.bool)
    w, unknown = torch.atanh((2 * images - 1) * INSIDE), torch.full_like(const, torch.inf)
    where = torch.arange(len(labels), device=labels.device)
    state = _State(where, images, labels, const, w, torch.zeros_like(w), torch.zeros_like(w), unknown, unknown)
    for step in range(spec.steps + 1):
        squashed = state.w.tanh()
        point = ((squashed + 1) / 2).requires_grad_()
        shortfall = spec.confidence - margin(view(point), state.labels)
        hinge = shortfall.clamp_min(0)
        (gradient,) = torch.autograd.grad(hinge.sum(), point)
        point, delta, fooled = point.detach(), point.detach() - state.images, shortfall < 0
        size = NORMS["l2"].size(delta)
        nearest.offer(state.where, point, size, fooled)
        succeeded[state.where[fooled]] = True
        loss = size.square() + state.const * hinge.detach()
        state = state._replace(least=torch.minimum(state.least, loss))
        gradient = 2 * delta + state.const[:, None, None, None] * gradient
        _adam(state, gradient * (1 - squashed.square()) / 2, lr=spec.lr, step=step + 1)
        if step % max(LEAST, spec.steps // CHECKS) == 0:
            going = state.least <= PROGRESS * state.least_before
            state = _State(*(tensor[going] for tensor in state._replace(least_before=state.least)))
            if not going.any():
                break
    return succeeded


def _adam(state: _State, gradient: Tensor, *, lr: float, step: int) -> None:
    """Update w and the moments in place (Kingma and Ba 2015, Algorithm 1); `step` counts from 1."""
    state.first.lerp_(gradient, 1 - 0.9)
    state.second.lerp_(gradient.square(), 1 - 0.999)
    scale = (state.second / (1 - 0.999**step)).sqrt_().add_(1e-8)
    state.w.addcdiv_(state.first, scale, value=-lr / (1 - 0.9**step))
