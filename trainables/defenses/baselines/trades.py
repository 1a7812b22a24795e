"""trades: cross-entropy on clean images and agreement around them (Zhang et al., ICML 2019, Eq. 5, Algorithm 1)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from trainables.defenses.by_loss import LabelSmoothing, trained_by
from trainables.defenses.contract import DefenseConfig
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.networks.staged import Staged
from trainables.runtime.modes import held


class TradesConfig(DefenseConfig):
    """beta is the paper's 1/lambda, 6 for CIFAR; 0 is natural training, at its cost.

    The attack's defaults are ours; the paper's: MNIST eps .3, 40 steps of .01; CIFAR eps .031, 10 of .007. It
    always starts from x + `start_std` N(0, I), as in Algorithm 1, for at x itself the divergence has no gradient.
    """

    name: Literal["trades"] = "trades"
    beta: NonNegativeFloat = Field(6.0, description="weight of the agreement; the paper's 1/lambda")
    start_std: PositiveFloat = Field(0.001, description="of the Gaussian noise (the authors' code)")
    attack: AdversarialConfig = Field(
        AdversarialConfig(), description="makes the images around the clean ones; always from a start of its own"
    )
    label_smoothing: LabelSmoothing = 0.0


def trades_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: TradesConfig, generator: torch.Generator
) -> Tensor:
    """Return CE(x, y) + beta mean KL(p(x) || p(x')), through both of which the gradient flows."""
    if config.beta == 0:
        return cross_entropy(model(images), labels, label_smoothing=config.label_smoothing)
    attacked = diverging(model, images, config, generator)
    logits = model(images)
    divergence = kl_from(log_softmax(logits, 1), model(attacked)).mean()
    return cross_entropy(logits, labels, label_smoothing=config.label_smoothing) + config.beta * divergence


def diverging(model: Staged, images: Tensor, config: TradesConfig, generator: torch.Generator) -> Tensor:
    """Return x' in the ball that raises KL(p(x) || p(x')), both in evaluation mode."""
    with torch.no_grad(), held(model):
        log_p = log_softmax(model(images), 1)
    start = config.start_std * torch.randn(images.shape, generator=generator).to(images.device)
    return perturbed(
        model, images, log_p, config.attack, generator, loss=lambda logits, log_p: kl_from(log_p, logits), start=start
    )


def kl_from(log_p: Tensor, logits: Tensor) -> Tensor:
    """Return KL(p || softmax(logits)) [B] of log-probabilities and logits [B, K]."""
    return kl_div(log_softmax(logits, 1), log_p, reduction="none", log_target=True).sum(1)


Trades = trained_by(trades_loss, TradesConfig)
