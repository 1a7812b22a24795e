"""The 4-layer CNN of Carlini and Wagner (2017) for MNIST, on which rbf_cnn's MNIST tables are measured."""

from __future__ import annotations

from torch import nn

from trainables.networks.sizes import require_side, scaled
from trainables.networks.staged import Staged, Widen, unchanged

FIRST = 32
SMALLEST = 16  # conv, conv, pool, conv, conv, pool: 16 -> 12 -> 6 -> 2 -> 1


def cnn4(
    shape: tuple[int, int, int],
    classes: int,
    *,
    width: int | None = None,
    after_conv: Widen = unchanged,
    before_head: Widen = unchanged,
) -> Staged:
    """Build C32-C32-MP-C64-C64-MP-FC200-dropout .5-FC200 with valid 3x3 convolutions and ReLU, then a linear layer.

    `width` (None: 32) scales every layer. `after_conv` and `before_head` give the modules that a defense puts behind
    every convolution, its pooling included, and before the softmax layer. Stages: conv1 to conv4, fc1, fc2,
    embedding.
    """
    require_side("cnn4", shape, least=SMALLEST)
    channels, height, side = shape
    stages: dict[str, nn.Module] = {}
    for number, (filters, pooling) in enumerate([(32, 1), (32, 2), (64, 1), (64, 2)], 1):
        out = scaled(filters, width, first=FIRST)
        height, side = ((n - 2) // pooling for n in (height, side))
        extra, widened = after_conv(out)
        pool = nn.MaxPool2d(pooling) if pooling > 1 else nn.Identity()
        stages[f"conv{number}"] = nn.Sequential(nn.Conv2d(channels, out, 3), nn.ReLU(), pool, extra)
        channels = widened
    hidden = scaled(200, width, first=FIRST)
    flat = nn.Linear(channels * height * side, hidden)
    stages["fc1"] = nn.Sequential(nn.Flatten(), flat, nn.ReLU(), nn.Dropout(0.5))
    stages["fc2"] = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
    extra, features = before_head(hidden)
    stages["embedding"] = nn.Sequential(nn.Unflatten(1, (-1, 1, 1)), extra)
    return Staged(stages, nn.Linear(features, classes), shape)
