"""No defense: the network trained on clean images with cross-entropy, the baseline of every table."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.networks.staged import Staged


class NaturalConfig(DefenseConfig):
    """`label_smoothing` .111 of 10 classes gives rbf_cnn's labels (.0111, .9)."""

    name: Literal["none"] = "none"
    label_smoothing: LabelSmoothing = 0.0


def natural_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: NaturalConfig, generator: torch.Generator
) -> Tensor:
    """Return the mean cross-entropy on the images as they are."""
    return cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)


Natural = trained_by(natural_loss, NaturalConfig)
