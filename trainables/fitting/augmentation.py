"""Random changes of training images, each drawn on the CPU so that it is the same on every device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

CROP_PADDING = 4


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability one half."""
    chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad by 4 pixels of 0 and cut each image out again at an offset of its own."""
    height, width = images.shape[2:]
    rows, columns = torch.randint(0, 2 * CROP_PADDING + 1, (2, len(images)), generator=generator).to(images.device)
    padded = pad(images, [CROP_PADDING] * 4)
    at = torch.arange(len(images), device=images.device)[:, None, None]
    y = (rows[:, None] + torch.arange(height, device=images.device))[:, :, None]
    x = (columns[:, None] + torch.arange(width, device=images.device))[:, None, :]
    return padded.permute(0, 2, 3, 1)[at, y, x].permute(0, 3, 1, 2)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"flip": _flip, "crop": _crop}
