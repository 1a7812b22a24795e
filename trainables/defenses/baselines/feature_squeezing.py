"""feature_squeezing: a network behind a squeezer, which an attacker meets as it is (`default`) or straight through
(`bpda`) (Xu et al., NDSS 2018).

Through `bit_depth` the default view has no gradient at all, and to attack it alone says nothing of robustness.
rbf_mapping's tables have two squeezers: FSM (bit depth or 3x3 median) and FSG (Gaussian, sigma 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, pad

from trainables.defenses.by_loss import LabelSmoothing, defense_of
from trainables.defenses.contract import DefenseConfig
from trainables.defenses.fit import network_of
from trainables.fitting.task import Task
from trainables.images import require_input
from trainables.networks.staged import Staged
from trainables.values import Frozen

TRUNCATE = 4  # standard deviations after which the Gaussian filter ends, as scipy's does


class Squeezer(Frozen):
    """Which squeezer. Xu et al. use 1 bit on MNIST, 4 or 5 on CIFAR, and a 2x2 or 3x3 median; sigma is FSG's."""

    name: Literal["none", "bit_depth", "median", "gaussian"] = Field("median", description="how an image is squeezed")
    bits: Annotated[int, Field(ge=1, le=8)] = Field(4, description="bit_depth only")
    sigma: PositiveFloat = Field(1.0, description="gaussian only; in pixels")


class FeatureSqueezingConfig(DefenseConfig):
    """Training on clean images is Xu et al.'s; `squeezed` trains the network on what it will see."""

    name: Literal["feature_squeezing"] = "feature_squeezing"
    squeezer: Squeezer = Field(Squeezer(), description="stands before the network")
    train_on: Literal["clean", "squeezed"] = Field("clean", description="the images that the network is trained on")
    label_smoothing: LabelSmoothing = 0.0


class FeatureSqueezingInference(Frozen):
    """The squeezer to predict through in place of the config's (None): it needs no other training."""

    squeezer: Squeezer | None = Field(None, description="the squeezer to predict through; null: the one of training")


class Squeezed(nn.Module):
    """The network on squeezed images; `straight_through` gives the squeezer the identity's gradient (BPDA)."""

    def __init__(self, network: Staged, squeezer: Squeezer, *, straight_through: bool = False) -> None:
        super().__init__()
        self.network = network
        self.squeezer = squeezer
        self.straight_through = straight_through

    def forward(self, images: Tensor) -> Tensor:
        require_input(self.network, images, self.network.shape)
        squeezed = squeeze(images, self.squeezer)
        if self.straight_through:
            squeezed = squeezed.detach() + (images - images.detach())
        return self.network(squeezed)


def behind_squeezer(config: FeatureSqueezingConfig, task: Task) -> Squeezed:
    """Build the task's network behind the config's squeezer."""
    return Squeezed(network_of(task), config.squeezer)


def squeezed_loss(
    model: Squeezed, images: Tensor, labels: Tensor, *, config: FeatureSqueezingConfig, generator: torch.Generator
) -> Tensor:
    """Return the mean cross-entropy of the network, or of the model if it is trained on squeezed images."""
    trained = model if config.train_on == "squeezed" else model.network
    return cross_entropy(trained(images), labels, label_smoothing=config.label_smoothing)


def as_it_is(model: Squeezed, config: FeatureSqueezingConfig, inference: FeatureSqueezingInference) -> Squeezed:
    """Return the network behind the squeezer of the inference settings (default: the config's)."""
    return Squeezed(model.network, inference.squeezer or config.squeezer)


def straight_through(model: Squeezed, config: FeatureSqueezingConfig, inference: FeatureSqueezingInference) -> Squeezed:
    """Return the same with the identity's gradient through the squeezer."""
    return Squeezed(model.network, inference.squeezer or config.squeezer, straight_through=True)


def squeeze(images: Tensor, squeezer: Squeezer) -> Tensor:
    """Return images [B, C, H, W] in [0, 1], squeezed."""
    return SQUEEZERS[squeezer.name](images, squeezer)


def _bit_depth(images: Tensor, squeezer: Squeezer) -> Tensor:
    """Return the nearest of 2^bits levels from 0 to 1, the upper one of two."""
    levels = 2**squeezer.bits - 1
    return torch.floor(images * levels + 0.5) / levels


def _median(images: Tensor, squeezer: Squeezer) -> Tensor:
    """Return the median of each 3x3 window; border pixels are repeated outwards."""
    windows = pad(images, [1] * 4, mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(4).median(4).values


def _gaussian(images: Tensor, squeezer: Squeezer) -> Tensor:
    """Return the images under a separable Gaussian filter; border pixels are repeated outwards."""
    radius = int(TRUNCATE * squeezer.sigma + 0.5)
    at = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.softmax(-at.square() / (2 * squeezer.sigma**2), 0)
    planes = pad(images, [radius] * 4, mode="replicate").flatten(0, 1)[:, None]
    filtered = conv2d(conv2d(planes, kernel[None, None, :, None]), kernel[None, None, None, :])
    return filtered.reshape(images.shape)


SQUEEZERS: dict[str, Callable[[Tensor, Squeezer], Tensor]] = {
    "none": lambda images, squeezer: images,
    "bit_depth": _bit_depth,
    "median": _median,
    "gaussian": _gaussian,
}


FeatureSqueezing = defense_of(
    behind_squeezer,
    squeezed_loss,
    FeatureSqueezingConfig,
    view_of={"default": as_it_is, "bpda": straight_through},
    inference_type=FeatureSqueezingInference,
)
