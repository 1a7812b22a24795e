"""The 3-layer CNN of CleverHans (ModelBasicCNN), on which rbf_mapping's MNIST tables are measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.errors import InputError

Widen = Callable[[int], tuple[nn.Module, int]]
"""Given the channels of a feature map, a module that follows it and the channels that come out."""


def unchanged(channels: int) -> tuple[nn.Module, int]:
    """The `Widen` that adds nothing."""
    return nn.Identity(), channels


class CNN3(nn.Module):
    """conv 8x8/2 (nf), conv 6x6/2 (2nf), conv 5x5 (2nf), ReLU each, then one linear layer.

    Images [B, C, H, W] in [0, 1] -> logits [B, classes]. `after_conv` and `before_head` give the modules that a
    defense puts behind every conv block and before the softmax layer. On 28x28 images the maps are 14, 5 and 1
    pixels wide; larger images leave a larger last map, which is flattened.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        *,
        width: int | None = None,
        after_conv: Widen = unchanged,
        before_head: Widen = unchanged,
    ) -> None:
        super().__init__()
        channels, height, side = shape
        nf = width or 64
        sizes = [(nf, 8, 2, 3), (2 * nf, 6, 2, 0), (2 * nf, 5, 1, 0)]
        blocks: list[nn.Module] = []
        for out, kernel, stride, padding in sizes:
            height, side = ((n + 2 * padding - kernel) // stride + 1 for n in (height, side))
            if min(height, side) < 1:
                raise InputError(f"network cnn3 needs images of at least 28x28, got {shape[1]}x{shape[2]}")
            conv = nn.Conv2d(channels, out, kernel, stride, padding)
            extra, channels = after_conv(out)
            blocks += [conv, nn.ReLU(), extra]
        self.features = nn.Sequential(*blocks)
        self.before_head, features = before_head(channels * height * side)
        self.head = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        flat = torch.flatten(self.features(images), 1)
        return self.head(self.before_head(flat[..., None, None]).flatten(1))
