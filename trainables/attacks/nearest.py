"""What attacks that look for the nearest misclassified image share: whom they attack and what they keep."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.spec import AttackSpec


def nearest_by(search: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the attack that runs `search(view, images, labels, *, spec, goal, noise)` on what the view gets right.

    The rest is misclassified as it is: no image is nearer, so it comes back as it is. An image that fools is nearest
    whatever eps is asked for, and a first one need not be the nearest: a search knows neither eps nor `stop_early`.
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
    """The nearest misclassified image so far of each of N examples: `images` [N, C, H, W] and their `sizes` [N].

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
