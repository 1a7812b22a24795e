"""Checks of images where they enter: uint8 in datasets, floats in [0, 1] at a model.

Types and shapes are checked everywhere, which costs nothing. Values are looked at only where nobody has vouched for
them, since a look makes a GPU wait: uint8 images are in range by their type, so training and evaluation, which start
from them, need none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.errors import InputError

Shape = tuple[int, int, int]
"""Channels, height and width."""
ROUNDING = 1e-5  # what a model's own squeezer may leave [0, 1] by, in float32


def as_float(pixels: Tensor) -> Tensor:
    """Return uint8 images [N, C, H, W] as float32 in [0, 1]; raise InputError for anything else."""
    require_pixels(pixels)
    return pixels.float() / 255


def require_pixels(pixels: Tensor) -> None:
    """Raise InputError unless `pixels` are uint8 images [N, C, H, W]."""
    if pixels.dtype != torch.uint8 or pixels.dim() != 4:
        raise InputError(f"images must be uint8 [N, C, H, W] in 0..255, got {_kind(pixels)}")


def require_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    """Raise InputError unless images are [B, C, H, W] of `shape`."""
    if images.shape[1:] != shape or images.dim() != 4:
        raise InputError(f"images must be [B, {', '.join(map(str, shape))}], got {list(images.shape)}")


def require_range(images: Tensor) -> None:
    """Raise InputError unless images are floats in [0, 1]; waits for the GPU they are on."""
    _require_floats(images)
    if not images.numel():
        return
    low, high = (bound.item() for bound in images.detach().aminmax())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # so that NaN is outside
        hint = " (images in [0, 255]? divide by 255)" if high > 2 else ""
        raise InputError(f"images must be in [0, 1], got [{low:g}, {high:g}]{hint}")


def require_input(model: nn.Module, images: Tensor, shape: Shape) -> None:
    """Raise InputError unless images are what `model`, at whose entry this stands, was built for.

    Values are not looked at in training, nor while `runtime.modes.held` holds the model without gradients of its
    parameters: attacks and smoothing leave [0, 1] on purpose, and both have checked the images they started from.
    """
    require_shape(images, shape)
    _require_floats(images)
    if not model.training and next(model.parameters()).requires_grad:
        require_range(images)


def _require_floats(images: Tensor) -> None:
    if not images.is_floating_point():
        raise InputError(f"images must be floats in [0, 1], got {_kind(images)} (images in [0, 255]? divide by 255)")


def _kind(images: Tensor) -> str:
    return f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
