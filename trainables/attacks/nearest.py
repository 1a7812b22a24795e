"""The common part of attacks that look for the nearest image that fools the view: which images, and the best so far."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.spec import AttackSpec


def nearest_by(search: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the attack that runs `search(view, images, labels, *, spec, goal, noise)` on images that do not fool.

    An image that fools the view without a change is returned as it is: none is nearer. The nearest image that fools
    does not depend on eps, and a first one need not be the nearest: a search knows neither eps nor `stop_early`.
    """

    @functools.wraps(search)
    def attack(
        view: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        eps: float,
        spec: AttackSpec,
        goal: Goal,
        noise: Noise,
        stop_early: bool,
    ) -> Tensor:
        found = images.clone()
        with torch.no_grad():
            standing = (~goal.fooled(view(images), labels)).nonzero()[:, 0]
        if len(standing):
            subset = images[standing], labels[standing]
            found[standing] = search(view, *subset, spec=spec, goal=goal, noise=noise.of(standing))
        return found

    return attack


class Nearest:
    """The nearest image so far that fools the view, of each of N examples: `images` [N, C, H, W], `sizes` [N].

    Where none was found yet, the image is the original and the size infinite.
    """

    def __init__(self, origin: Tensor) -> None:
        self.images = origin.clone()
        self.sizes = torch.full((len(origin),), torch.inf, device=origin.device)

    def offer(self, where: Tensor, images: Tensor, sizes: Tensor, fooled: Tensor) -> None:
        """Keep those of `images` [B, C, H, W], of the examples at `where` [B], that fool and are nearer."""
        better = fooled & (sizes < self.sizes[where])
        self.images[where[better]] = images[better]
        self.sizes[where[better]] = sizes[better]
