"""The game of Adversarial Feature Desensitization (Bashivan, Richards, Rish, arXiv 2006.04621v1): player and losses.

Da judges whether features h [B, D] of an example of class y are those of a clean image (high) or of an attacked one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of LeakyReLU (Sec. 3.2)


class ProjectionDiscriminator(nn.Module):
    """Da(h, y) = l(t(h)) + <emb(y), t(h)> [B] (Miyato and Koyama, ICLR 2018).

    t is two FC layers, each followed by LeakyReLU; the projection is the third. Every layer has a spectral norm of
    1 (one power iteration a pass in training mode) and starts from Xavier's weights; y enters through emb alone.
    """

    def __init__(self, dimension: int, classes: int, *, hidden: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _normed(nn.Linear(dimension, hidden)),
            nn.LeakyReLU(SLOPE),
            _normed(nn.Linear(hidden, hidden)),
            nn.LeakyReLU(SLOPE),
        )
        self.output = _normed(nn.Linear(hidden, 1))
        self.embedding = _normed(nn.Embedding(classes, hidden))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        hidden = self.trunk(features)
        return self.output(hidden).squeeze(1) + (self.embedding(labels) * hidden).sum(1)


def _normed(layer: nn.Linear | nn.Embedding) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    if isinstance(layer, nn.Linear):
        nn.init.zeros_(layer.bias)
    return spectral_norm(layer)


@dataclass(frozen=True)
class GanLoss:
    """What the players minimise, as functions of scores [B], the batch's mean.

    `discriminator(clean, attacked)` is Da's loss; `encoder(attacked)` is the encoder's, which wants attacked
    images' features scored as clean ones.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    encoder: Callable[[Tensor], Tensor]


GAN_LOSSES: dict[str, GanLoss] = {
    "softplus": GanLoss(
        lambda clean, attacked: (softplus(-clean) + softplus(attacked)).mean(),
        lambda attacked: softplus(-attacked).mean(),
    ),
    "wgan": GanLoss(
        lambda clean, attacked: (attacked - clean).mean(),
        lambda attacked: torch.neg(attacked).mean(),
    ),
    "hinge": GanLoss(
        lambda clean, attacked: (relu(1 - clean) + relu(1 + attacked)).mean(),
        lambda attacked: torch.neg(attacked).mean(),
    ),
}
