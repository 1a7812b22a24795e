"""Total variation minimisation (TVM) of images with dropped pixels, after Guo et al. 2018.

    minimise over z:  sum m (z - x)^2 + lambda TV(z),   m ~ Bernoulli(keep) per pixel and channel,

with TV the isotropic total variation, the sum over pixels of |(z_right - z, z_below - z)|_2, of each channel.
It is solved by split Bregman (Goldstein, Osher 2009) for a batch at once.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn.functional import pad

from trainables.values import Frozen

GRADIENT_PENALTY = 0.2  # of d = grad z; ours, as is the next: near the fastest on digits and on random images
FIT_PENALTY = 0.5  # of v = z
MINIMISED_AT_ONCE = 1024  # images, where there are many


class TvmConfig(Frozen):
    """TVM's settings; lambda and the share of kept pixels are the paper's, the number of iterations is ours."""

    lambda_tv: float = Field(0.03, ge=0, description="for images in [0, 1]")
    keep: float = Field(0.5, gt=0, le=1, description="probability that a pixel is kept")
    iterations: PositiveInt = Field(100, description="of the solver")
    seed: int = Field(0, ge=0, description="of the mask")


def draw_mask(shape: tuple[int, ...], config: TvmConfig) -> Tensor:
    """Return m, float32 of 0 and 1, the same on every device."""
    generator = torch.Generator().manual_seed(config.seed)
    return (torch.rand(shape, generator=generator) < config.keep).float()


@torch.no_grad()
def minimised(pixels: Tensor, config: TvmConfig) -> Tensor:
    """Return uint8 images [N, C, H, W] after TVM, each under a mask of its own, rounded to uint8."""
    masks = draw_mask(tuple(pixels.shape), config).split(MINIMISED_AT_ONCE)
    found = [
        minimise(x.float() / 255, m.to(x.device), lambda_tv=config.lambda_tv, iterations=config.iterations)
        for x, m in zip(pixels.split(MINIMISED_AT_ONCE), masks, strict=True)
    ]
    return torch.cat([(255 * z).round().clamp(0, 255).to(torch.uint8) for z in found])


def minimise(images: Tensor, mask: Tensor, *, lambda_tv: float, iterations: int) -> Tensor:
    """Return z [B, C, H, W] for x [B, C, H, W] and m [B or 1, C, H, W]; a channel without kept pixels turns 0.

    Two splits, v = z for the masked fit and d = grad z for the variation, leave for z the constant operator
    FIT I + GRADIENT grad^T grad, which cosine transforms diagonalise: two matrix products a side, no inner loop.
    """
    kept = mask.sum((2, 3), keepdim=True).clamp_min(1)
    z = torch.where(mask > 0, images, ((mask * images).sum((2, 3), keepdim=True) / kept).expand_as(images))
    rows, columns = (cosine_basis(n, images) for n in images.shape[2:])
    spectrum = FIT_PENALTY + GRADIENT_PENALTY * (_eigenvalues(rows)[:, None] + _eigenvalues(columns))
    d = gradient(z)
    b, c = torch.zeros_like(d), torch.zeros_like(z)
    for _ in range(iterations):
        v = (2 * mask * images + FIT_PENALTY * (z - c)) / (2 * mask + FIT_PENALTY)
        d = _shrunk(gradient(z) + b, lambda_tv / GRADIENT_PENALTY)
        right = FIT_PENALTY * (v + c) + GRADIENT_PENALTY * gradient_adjoint(d - b)
        z = rows.T @ (rows @ right @ columns.T / spectrum) @ columns
        b, c = b + gradient(z) - d, c + v - z
    return z


def gradient(z: Tensor) -> Tensor:
    """Return forward differences down and to the right, 0 at the far border: [B, C, H, W] -> [2, B, C, H, W]."""
    return torch.stack([pad(z.diff(dim=2), (0, 0, 0, 1)), pad(z.diff(dim=3), (0, 1))])


def gradient_adjoint(d: Tensor) -> Tensor:
    """Return grad^T d: [2, B, C, H, W] -> [B, C, H, W]."""
    down, right = d[0, :, :, :-1], d[1, :, :, :, :-1]
    return -pad(down, (0, 0, 1, 1)).diff(dim=2) - pad(right, (1, 1)).diff(dim=3)


def cosine_basis(n: int, like: Tensor) -> Tensor:
    """Return the orthonormal cosine transform (DCT-II) [n, n], whose rows are eigenvectors of grad^T grad."""
    k = torch.arange(n, device=like.device, dtype=like.dtype)
    basis = torch.cos(math.pi / n * k[:, None] * (k + 0.5)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return basis


def _eigenvalues(basis: Tensor) -> Tensor:
    """Return the eigenvalue of grad^T grad [n] of each row of the basis: 2 - 2 cos(pi k / n)."""
    return basis.diff(dim=1).square().sum(1)


def _shrunk(d: Tensor, threshold: float) -> Tensor:
    """Shorten the vectors d [2, ...] by the threshold, to 0 where they are shorter."""
    length = d.square().sum(0).sqrt()
    return d * (1 - threshold / length.clamp_min(1e-12)).clamp_min(0) if threshold else d
