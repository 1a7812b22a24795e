"""A defense: training on the mean squared error, with noise on the images."""

from typing import Literal

import torch
from pydantic import Field
from torch.nn.functional import mse_loss

from trainables.defenses import DefenseConfig
from trainables.defenses.by_loss import trained_by


class RegressorConfig(DefenseConfig):
    """Regression on noisy images."""

    name: Literal["regressor"] = "regressor"
    noise: float = Field(0.0, ge=0, description="standard deviation of the noise on training images")


def _loss(model, images, labels, *, config, generator):
    noise = config.noise * torch.randn(images.shape, generator=generator)
    return mse_loss(model((images + noise).clamp(0, 1))[:, 0], labels)


Regressor = trained_by(_loss, RegressorConfig, for_judges=frozenset({"tolerance"}))
