"""Adversarial examples for training: any defense may train on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from trainables.attacks.ascent import ascend
from trainables.attacks.criteria import CRITERIA
from trainables.attacks.norms import NORMS
from trainables.runtime.modes import held
from trainables.values import Frozen

Radius = Annotated[float, Field(gt=0, le=1)]


class AdversarialConfig(Frozen):
    """The attack that training examples are made with; eps on the [0,1] image scale.

    `eps` may be a range, from which each batch draws its own (as pcl's adversarial training does). A step is
    `relative_step` times eps; FGSM's is eps itself.
    """

    attack: Literal["fgsm", "pgd"] = Field("pgd", description="how training examples are made")
    norm: Literal["linf", "l2"] = Field("linf", description="the norm of eps")
    eps: Radius | tuple[Radius, Radius] = Field(
        0.1,
        description="size of the perturbation, on the [0, 1] image scale; a pair is a range that each batch draws from",
    )
    steps: PositiveInt = Field(10, description="pgd only")
    relative_step: Annotated[float, Field(gt=0)] = Field(0.25, description="pgd only")
    random_start: bool = Field(True, description="pgd only")

    def draw_eps(self, generator: torch.Generator) -> float:
        """Return this batch's eps."""
        if not isinstance(self.eps, tuple):
            return self.eps
        low, high = self.eps
        return low + (high - low) * torch.rand((), generator=generator).item()


def perturbed(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    config: AdversarialConfig,
    generator: torch.Generator,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = CRITERIA["cross_entropy"].loss,
    of: Callable[[Tensor], Tensor] | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """Return images [B, C, H, W] attacked in evaluation mode, without gradients of parameters.

    `of` is the function of the images whose output `loss(output, labels)` is raised (default: the model itself).
    `start` [B, C, H, W] is a perturbation to begin with, in place of the config's.
    """
    eps = config.draw_eps(generator)
    if start is None and config.attack == "pgd" and config.random_start:
        noise = torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1
        start = eps * NORMS[config.norm].start(noise)
    one_step = config.attack == "fgsm"
    with held(model):
        return ascend(
            of or model,
            images,
            labels,
            eps=eps,
            ball=NORMS[config.norm],
            loss=loss,
            steps=1 if one_step else config.steps,
            step=eps if one_step else config.relative_step * eps,
            start=start,
        )
