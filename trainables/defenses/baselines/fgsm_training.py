"""fgsm_training: adversarial training on clean and attacked images (Goodfellow et al., ICLR 2015, Sec. 6)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.networks.staged import Staged


class FgsmTrainingConfig(DefenseConfig):
    """alpha is the paper's .5. `attack.attack=pgd` gives the PGD half of pcl's adversarial training."""

    name: Literal["fgsm_training"] = "fgsm_training"
    alpha: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="weight of the clean images")
    attack: AdversarialConfig = Field(AdversarialConfig(attack="fgsm"), description="makes the attacked images")
    label_smoothing: LabelSmoothing = 0.0


def mixed_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: FgsmTrainingConfig, generator: torch.Generator
) -> Tensor:
    """Return alpha J(x, y) + (1 - alpha) J(x', y), J the mean cross-entropy and x' attacked.

    Both halves pass the network as one batch, so that BatchNorm sees what Kurakin et al. (ICLR 2017) show it.
    """
    attacked = perturbed(model, images, labels, config.attack, generator)
    clean_logits, attacked_logits = model(torch.cat([images, attacked])).chunk(2)
    clean = cross_entropy(clean_logits, labels, label_smoothing=config.label_smoothing)
    adversarial = cross_entropy(attacked_logits, labels, label_smoothing=config.label_smoothing)
    return config.alpha * clean + (1 - config.alpha) * adversarial


FgsmTraining = trained_by(mixed_loss, FgsmTrainingConfig)
