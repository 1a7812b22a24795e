"""The 3-layer CNN of CleverHans (ModelBasicCNN), on which rbf_mapping's MNIST tables are measured."""

from __future__ import annotations

from torch import nn

from trainables.errors import InputError
from trainables.networks.staged import Staged, Widen, unchanged


def cnn3(
    shape: tuple[int, int, int],
    classes: int,
    *,
    width: int | None = None,
    after_conv: Widen = unchanged,
    before_head: Widen = unchanged,
) -> Staged:
    """Build conv 8x8/2 (nf), conv 6x6/2 (2nf), conv 5x5 (2nf), ReLU each, then one linear layer; nf = `width` or 64.

    `after_conv` and `before_head` give the modules that a defense puts behind every conv block and before the
    softmax layer. On 28x28 images the maps are 14, 5 and 1 pixels wide; larger images leave a larger last map,
    which is flattened. Stages: conv1, conv2, conv3, embedding.
    """
    channels, height, side = shape
    nf = width or 64
    stages: dict[str, nn.Module] = {}
    for number, (out, kernel, stride, padding) in enumerate([(nf, 8, 2, 3), (2 * nf, 6, 2, 0), (2 * nf, 5, 1, 0)], 1):
        height, side = ((n + 2 * padding - kernel) // stride + 1 for n in (height, side))
        if min(height, side) < 1:
            raise InputError(f"network cnn3 needs images of at least 28x28, got {shape[1]}x{shape[2]}")
        conv = nn.Conv2d(channels, out, kernel, stride, padding)
        extra, channels = after_conv(out)
        stages[f"conv{number}"] = nn.Sequential(conv, nn.ReLU(), extra)
    extra, features = before_head(channels * height * side)
    stages["embedding"] = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (-1, 1, 1)), extra)
    return Staged(stages, nn.Linear(features, classes), shape)
