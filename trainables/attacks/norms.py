"""The norms by name. Adding one is a file and a line at the end of this one."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.attacks.norm import NORMS, TINY, Norm, per_image, unit

SPARSITY = 0.01  # share of the pixels that a step in L1 moves


def _l2_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).norm(dim=1)


def _l2_project(delta: Tensor, eps: float) -> Tensor:
    return delta * per_image((eps / _l2_size(delta).clamp_min(TINY)).clamp_max(1.0), delta)


def _l2_start(noise: Tensor) -> Tensor:
    """Uniform in the unit ball: a normal direction; the radius is from the low bits of the first entry's noise."""
    normal = torch.erfinv(noise.clamp(-1 + 1e-6, 1 - 1e-6))
    dimension = noise[0].numel()
    radius = (1024 * noise.flatten(1)[:, 0]).remainder(1) ** (1 / dimension)
    return unit(normal, _l2_size) * per_image(radius, noise)


def _l1_size(delta: Tensor) -> Tensor:
    return delta.flatten(1).abs().sum(1)


def _l1_steepest(gradient: Tensor) -> Tensor:
    """Spread the step evenly over the SPARSITY of the pixels of largest gradient (SLIDE, Tramer and Boneh 2019).

    Of one pixel alone, which is the steepest direction, a step would soon leave the box.
    """
    size = gradient.flatten(1).abs()
    least = size.topk(max(1, round(SPARSITY * size.shape[1])), dim=1).values[:, -1]
    direction = torch.where(gradient.abs() >= per_image(least, gradient), gradient.sign(), 0)
    return direction.div_(per_image(_l1_size(direction).clamp_min(1), direction))


def _l1_project(delta: Tensor, eps: float) -> Tensor:
    """Shrink every entry by the theta that leaves a sum of eps (Duchi et al. 2008, Eq. 3).

    Theta is found by dropping the entries below it until none is (Michelot 1986), some times as fast as by a sort.
    Entries are taken less the largest, so that none is lost to rounding where they are far beyond the ball.
    """
    size = delta.flatten(1).abs()
    less = size - size.amax(1, keepdim=True)
    kept, dropped = torch.ones_like(size, dtype=torch.bool), True
    while dropped:
        theta = ((less * kept).sum(1, keepdim=True) - eps) / kept.sum(1, keepdim=True)
        above = kept & (less > theta)
        dropped, kept = not torch.equal(above, kept), above
    shrunk = delta.sign() * (less - theta).clamp_min(0).reshape(delta.shape)
    return torch.where(per_image(size.sum(1) <= eps, delta), delta, shrunk)


def _l1_start(noise: Tensor) -> Tensor:
    """Uniform in the unit ball: d exponentials with signs, divided by the sum of them and of one more."""
    exponential = -torch.log1p(-noise.abs().clamp_max(1 - 1e-6))
    more = -torch.log1p(-(1024 * noise.flatten(1)[:, 0]).remainder(1).clamp_max(1 - 1e-6))
    return noise.sign() * exponential / per_image((_l1_size(exponential) + more).clamp_min(TINY), noise)


NORMS.add_all(
    linf=Norm(
        size=lambda delta: delta.flatten(1).abs().amax(1),
        steepest=torch.sign,
        project=lambda delta, eps: delta.clamp(-eps, eps),
        start=lambda noise: noise,
        largest=1.0,
        about="the largest change of any pixel, on the [0, 1] image scale",
    ),
    l2=Norm(
        size=_l2_size,
        steepest=lambda g: unit(g, _l2_size),
        project=_l2_project,
        start=_l2_start,
        about="the Euclidean length of the change of all pixels",
    ),
    l1=Norm(
        size=_l1_size,
        steepest=_l1_steepest,
        project=_l1_project,
        start=_l1_start,
        sparse=True,
        about="the sum of the changes of all pixels, without their signs",
    ),
)

__all__ = ["NORMS", "Norm"]
