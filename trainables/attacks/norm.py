"""Norm: what an attack needs of one: sizes, steepest-ascent directions, projections and random starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.registry import Registry, names_of

TINY = 1e-12


@dataclass(frozen=True)
class Norm:
    """Functions over perturbations [B, ...]; every example is treated by itself.

    size: [B]. steepest: the direction of norm 1 that raises a linear loss the most, 0 where the gradient is 0.
    project: to the point of the ball of radius eps that is nearest in Euclidean
    distance. start: from noise uniform in [-1, 1] to a point in the
    unit ball. A caller may overwrite the tensors that steepest and project return; project may return its argument.

    sparse: steepest moves few pixels, so it is not to be shown those that cannot move. largest: the size beyond which
    a perturbation of images in [0, 1] cannot grow, where it is the same for all of them. about: the size, in
    words.
    """

    size: Callable[[Tensor], Tensor]
    steepest: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float], Tensor]
    start: Callable[[Tensor], Tensor]
    sparse: bool = False
    largest: float | None = None
    about: str = ""


NORMS: Registry[Norm] = Registry("norm", "norms", needs=names_of(Norm))


def per_image(per_example: Tensor, like: Tensor) -> Tensor:
    """Return numbers [B] in a shape that multiplies perturbations [B, ...]."""
    return per_example.reshape(-1, *[1] * (like.dim() - 1))


def unit(gradient: Tensor, size: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the gradient divided by its size, 0 where it is 0."""
    # By its largest entry first: the square of a small gradient underflows in float32.
    scaled = gradient / per_image(gradient.flatten(1).abs().amax(1).clamp_min(torch.finfo().tiny), gradient)
    return scaled.div_(per_image(size(scaled).clamp_min(TINY), scaled))
