"""A norm, as far as an attack needs it: sizes, steepest-ascent directions, projections and random starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-12


@dataclass(frozen=True)
class Norm:
    """Functions over perturbations [B, ...]; every example is treated by itself.

    size: [B]. steepest: the direction of norm 1 that raises a linear loss the most, 0 where the gradient is 0.
    project: into the ball of radius eps. start: from noise uniform in [-1, 1] to a point in the unit ball.
    """

    size: Callable[[Tensor], Tensor]
    steepest: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float], Tensor]
    start: Callable[[Tensor], Tensor]


def _spread(per_example: Tensor, like: Tensor) -> Tensor:
    return per_example.reshape(-1, *[1] * (like.dim() - 1))


def _l2_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).norm(dim=1)


def _l2_steepest(gradient: Tensor) -> Tensor:
    # Divided by its largest entry first: the square of a small gradient underflows in float32.
    scaled = gradient / _spread(gradient.flatten(1).abs().amax(1).clamp_min(torch.finfo().tiny), gradient)
    return scaled / _spread(_l2_size(scaled).clamp_min(TINY), scaled)


def _l2_project(delta: Tensor, eps: float) -> Tensor:
    return delta * _spread((eps / _l2_size(delta).clamp_min(TINY)).clamp_max(1.0), delta)


def _l2_start(noise: Tensor) -> Tensor:
    """Uniform in the unit ball: a normal direction; the radius is from the low bits of the first entry's noise."""
    normal = torch.erfinv(noise.clamp(-1 + 1e-6, 1 - 1e-6))
    dimension = noise[0].numel()
    radius = (1024 * noise.flatten(1)[:, 0]).remainder(1) ** (1 / dimension)
    return _l2_steepest(normal) * _spread(radius, noise)


NORMS: dict[str, Norm] = {
    "linf": Norm(
        size=lambda delta: delta.flatten(1).abs().amax(1),
        steepest=torch.sign,
        project=lambda delta, eps: delta.clamp(-eps, eps),
        start=lambda noise: noise,
    ),
    "l2": Norm(size=_l2_size, steepest=_l2_steepest, project=_l2_project, start=_l2_start),
}
