"""The filter bank of rbf_cnn: Gaussians over 3x3 patches, fitted by non-parametric EM, and images rebuilt from them.

Nandy, Hsu, Lee, IJCNN 2020. A patch z is 3x3xC, valid, stride 1, so D = 9 C and an image has L = (H - 2)(W - 2) of
them. Convolutions are written as unfold, GEMM and fold: on a CPU that is 1.1 to 2.4 times as fast, forward and
backward, as conv2d and conv_transpose2d (tests/benchmarks), it keeps out of cuDNN's TF32, and EM shares it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import fold, unfold

from trainables.values import Frozen

PATCH = 3
CHUNK = 2**17  # scores computed at a time: what a core's cache holds
# Of the authors' code; the paper does not give them.
MARGIN = 2.5
MIN_SHARE = 1e-3
ALPHA_GAIN = 0.6913
ALPHA_DECAY = 0.05


class EmConfig(Frozen):
    """How the filters are fitted; values are the authors' code for MNIST except where a description says otherwise."""

    m_steps: PositiveInt = Field(500, description="M-steps in all")
    creation_m_steps: PositiveInt | None = Field(
        250, description="new filters only in these first M-steps; null: until alpha reaches 0"
    )
    batch_size: PositiveInt = Field(50, description="images whose patches are read at a time")
    batches_per_m_step: PositiveInt = Field(15, description="batches of images for each M-step")
    m_step_share: float = Field(
        0.02,
        gt=0,
        le=1,
        description="an M-step sees at most this share of the training images: ours, without effect from 37,500 "
        "images on, so that small data are quick",
    )
    k_star: PositiveFloat = Field(10.0, description="K*, the number of filters aimed at; CIFAR: 175")
    sigma2_floor: PositiveFloat = Field(
        1e-4, description="ours; the authors' 1e-20 makes filters of exact matches, which mask gradients"
    )

    def images_per_m_step(self, images: int) -> int:
        """Return how many of the `images` training images an M-step sees."""
        return min(self.batch_size * self.batches_per_m_step, math.ceil(self.m_step_share * images))


class Filters(NamedTuple):
    """Centres mu [K, D] in [0, 1], in the order of unfold (channel, row, column), and variances sigma2 [K].

    A variance is summed over the D entries of a patch, not divided by D.
    """

    mu: Tensor
    sigma2: Tensor


def observed(images: Tensor) -> Tensor:
    """Return z, |z|^2 and 1 [B, D + 2, L] of every patch of images [B, C, H, W]."""
    patches = unfold(images, PATCH)
    squares = patches.square().sum(1, keepdim=True)
    return torch.cat([patches, squares, torch.ones_like(squares)], 1)


def scores(patches: Tensor, filters: Filters) -> Tensor:
    """Return s [B, K, L] of `observed` patches [B, D + 2, L]: -|z - mu|^2 / (2 sigma^2) - log(sigma^2) / 2.

    Eq. 2 without its log sqrt(2 pi), as in the authors' code. |z - mu|^2 is one GEMM: -2 mu.z + |z|^2 + |mu|^2.
    """
    mu, sigma2 = filters.mu, filters.sigma2[:, None]
    rows = torch.cat([-2 * mu, torch.ones_like(sigma2), mu.square().sum(1, keepdim=True)], 1)
    # Rounding may leave less than 0, which a small sigma^2 would blow up.
    distances = torch.relu(rows @ patches)
    return torch.addcmul(-0.5 * sigma2.log(), distances, -0.5 / sigma2)


@torch.no_grad()
def fit_filters(windows: Iterable[Tensor], config: EmConfig) -> Filters:
    """Fit the filters to images [N, C, H, W] in [0, 1]; each window of images ends with an M-step.

    Hard EM that starts without filters. A patch belongs to the filter of highest score or, where that is below
    ln(alpha) - 2.5, to one new filter that all such patches share. At 0, alpha ends the creation for good.
    """
    filters, alpha = None, 1.0
    for number, images in enumerate(windows):
        creating = alpha > 0 and (config.creation_m_steps is None or number < config.creation_m_steps)
        threshold = math.log(alpha) - MARGIN if creating else -math.inf
        moments = _moments(images, _no_filters(images) if filters is None else filters, threshold)
        filters, share = _m_step(moments, config.sigma2_floor, images.dtype)
        if creating:
            alpha = next_alpha(alpha, filters=len(filters.mu), share=share, k_star=config.k_star)
    if filters is None:
        raise ValueError("fitting filters needs at least one window of images, got none")
    return filters


def next_alpha(alpha: float, *, filters: int, share: float, k_star: float) -> float:
    """Return alpha after an M-step that left K = `filters` and sent `share` of its patches to the new one."""
    return alpha + ALPHA_GAIN * _falling(filters / k_star) * _falling(share / MIN_SHARE) - ALPHA_DECAY


def _falling(x: float) -> float:
    """Return 1 / (1 + e^x), which exp would overflow for a share of 1."""
    return (1 - math.tanh(x / 2)) / 2


def _no_filters(images: Tensor) -> Filters:
    return Filters(images.new_empty(0, images.shape[1] * PATCH**2), images.new_empty(0))


def _moments(images: Tensor, filters: Filters, threshold: float) -> Tensor:
    """Return sums [K + 1, D + 2] in float64 of z, |z|^2 and 1 over each filter's patches; the last row is the new one.

    Summed in the images' precision within an image only: sigma^2 is a small difference of large sums.
    """
    numbers = torch.arange(len(filters.mu) + 1, device=images.device)[:, None]
    total = torch.zeros(len(numbers), filters.mu.shape[1] + 2, dtype=torch.float64, device=images.device)
    for few in images.split(max(1, CHUNK // (len(numbers) * images[0, 0].numel()))):
        patches = observed(few)
        found = scores(patches, filters)
        limit = torch.full_like(patches[:, :1], threshold)
        slots = torch.cat([found, limit], 1).max(1, keepdim=True).indices
        total += ((slots == numbers).to(images.dtype) @ patches.transpose(1, 2)).double().sum(0)
    return total


def _m_step(moments: Tensor, floor: float, dtype: torch.dtype) -> tuple[Filters, float]:
    """Return the filters that stay, mu = E z and sigma^2 = E|z|^2 - |mu|^2, and the share of the new one's patches."""
    counts = moments[:, -1]
    share = (counts[-1] / counts.sum()).item()
    stays = counts > 1
    stays[-1] &= share > MIN_SHARE
    means = moments[stays] / counts[stays, None]
    mu = means[:, :-2]
    sigma2 = (means[:, -2] - mu.square().sum(1)).clamp_min(floor)
    return Filters(mu.to(dtype), sigma2.to(dtype)), share


class FilterBank(nn.Module):
    """Fitted filters as buffers, with as many as the data asked for; loading a state takes over its number.

    Before `hold` it is one grey filter, from which every image is rebuilt as grey.
    """

    mu: Tensor
    sigma2: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mu", torch.full((1, channels * PATCH**2), 0.5))
        self.register_buffer("sigma2", torch.ones(1))
        self.register_load_state_dict_pre_hook(_make_room)

    def __len__(self) -> int:
        return len(self.mu)

    def hold(self, filters: Filters) -> None:
        """Take over fitted filters."""
        self.mu, self.sigma2 = (tensor.to(self.mu) for tensor in filters)

    def weights(self, images: Tensor, beta1: float) -> Tensor:
        """Return w [B, K, L] of images [B, C, H, W]: softmax over K of beta1 v, v = sigmoid(s); beta1 in nats."""
        v = torch.sigmoid(scores(observed(images), Filters(self.mu, self.sigma2)))
        return torch.softmax(beta1 * v, 1)

    def reconstructed(self, images: Tensor, beta1: float) -> Tensor:
        """Return R [B, C, H, W] without noise: every patch becomes sum_j w_j mu_j, and overlaps are averaged."""
        return assembled(self.weights(images, beta1), self.mu, (images.shape[2], images.shape[3]))

    def noisy_mu(self, beta2: float, scale: str) -> Tensor:
        """Return z~ [K, D] of Eq. 4, drawn anew for all filters: mu + beta2 N(0, I) sigma^2 or, with "std", sigma.

        The draw does not depend on the images, so it is the same for a whole batch. It comes from the global RNG.
        """
        spread = self.sigma2 if scale == "variance" else self.sigma2.sqrt()
        return self.mu + beta2 * spread[:, None] * torch.randn_like(self.mu)


def assembled(weights: Tensor, mu: Tensor, size: tuple[int, int]) -> Tensor:
    """Lay the patches sum_j w_j mu_j, from w [B, K, L] and mu [K, D], over images [B, C, *size], averaging overlaps."""
    overlaps = fold(weights.new_ones(1, PATCH**2, weights.shape[2]), size, PATCH)
    return fold(mu.T @ weights, size, PATCH) / overlaps


def _make_room(bank: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for name, buffer in bank.named_buffers(recurse=False):
        if prefix + name in state:
            setattr(bank, name, buffer.new_empty(state[prefix + name].shape))
