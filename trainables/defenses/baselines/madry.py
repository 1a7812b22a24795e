"""madry: adversarial training on PGD examples alone (Madry et al., ICLR 2018, Eq. 2.1)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.networks.staged import Staged


class MadryConfig(DefenseConfig):
    """The attack's defaults are ours; the paper's: MNIST eps .3, 40 steps of .01; CIFAR eps 8/255, 7 of 2/255."""

    name: Literal["madry"] = "madry"
    attack: AdversarialConfig = Field(AdversarialConfig(), description="makes the images that are trained on")
    label_smoothing: LabelSmoothing = 0.0


def adversarial_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: MadryConfig, generator: torch.Generator
) -> Tensor:
    """Return the mean cross-entropy on the attacked images."""
    attacked = perturbed(model, images, labels, config.attack, generator)
    return cross_entropy(model(attacked), labels, label_smoothing=config.label_smoothing)


Madry = trained_by(adversarial_loss, MadryConfig)
