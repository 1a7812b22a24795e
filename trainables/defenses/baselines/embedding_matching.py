"""embedding_matching: attacked embeddings pulled to clean ones, afd's L2 baseline (Bashivan et al. 2020, Fig. A5)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.networks.staged import Staged


class EmbeddingMatchingConfig(DefenseConfig):
    """The weight's default is ours: the paper does not give its own. Weight 0 is natural training, at its cost."""

    name: Literal["embedding_matching"] = "embedding_matching"
    weight: NonNegativeFloat = Field(1.0, description="lambda, the weight of the squared distance")
    attack: AdversarialConfig = Field(AdversarialConfig(), description="makes the attacked images")
    label_smoothing: LabelSmoothing = 0.0


def matching_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: EmbeddingMatchingConfig, generator: torch.Generator
) -> Tensor:
    """Return CE(x, y) + lambda mean ||E(x) - E(x')||^2 with x' raising the cross-entropy; both E are trained."""
    if config.weight == 0:
        return cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
    attacked = perturbed(model, images, labels, config.attack, generator)
    embedding = model.embed(images)
    distance = (embedding - model.embed(attacked)).square().sum(1).mean()
    clean = cross_entropy(model.head(embedding), labels, label_smoothing=config.label_smoothing)
    return clean + config.weight * distance


EmbeddingMatching = trained_by(matching_loss, EmbeddingMatchingConfig)
