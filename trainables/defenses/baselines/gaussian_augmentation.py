"""gaussian_augmentation: training on noisy images (Zantedeschi et al. 2017), GDA in rbf_mapping's tables."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.networks.staged import Staged


class GaussianAugmentationConfig(DefenseConfig):
    """The defaults are ours: rbf_mapping's paper does not give its own."""

    name: Literal["gaussian_augmentation"] = "gaussian_augmentation"
    sigma: PositiveFloat = Field(0.1, description="standard deviation of the noise on the [0,1] image scale")
    fraction: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="share of each batch that gets noise")
    label_smoothing: LabelSmoothing = 0.0


def gaussian_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: GaussianAugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Return the mean cross-entropy on the images, of which the first `fraction` are noisy.

    Each epoch has a new order, so the first of a batch are a random choice.
    """
    chosen = round(config.fraction * len(images))
    noisy = with_gaussian_noise(images[:chosen], config.sigma, generator)
    seen = torch.cat([noisy, images[chosen:]])
    return cross_entropy(model(seen), labels, label_smoothing=config.label_smoothing)


def with_gaussian_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] + N(0, sigma^2), clipped to [0, 1]; the noise is drawn on the CPU."""
    return (images + sigma * torch.randn(images.shape, generator=generator).to(images.device)).clamp(0, 1)


GaussianAugmentation = trained_by(gaussian_loss, GaussianAugmentationConfig)
