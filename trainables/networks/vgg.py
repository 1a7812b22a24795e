"""VGG (Simonyan and Zisserman 2015) for small images: five blocks of 3x3 convolutions, each ended by a pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from trainables.networks.sizes import require_side, scaled
from trainables.networks.staged import Staged

FIRST = 64
FILTERS = (64, 128, 256, 512, 512)
VGG16 = (2, 2, 3, 3, 3)
VGG19 = (2, 2, 4, 4, 4)
SMALLEST = 17  # the fifth pooling by 2 still has something to pool
Layers = Callable[[int, int, float], Sequence[nn.Module]]
"""Given channels in and out and a dropout rate, a convolution and what belongs to it."""


def vgg16(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build VGG16 of conv-BN-ReLU with a linear head on 512 features, as is usual for CIFAR.

    `width` (None: 64) scales every layer. Stages: block1 to block5, gap [B, 512].
    """
    return _plain("vgg16", shape, classes, width=width, depths=VGG16)


def vgg19(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build VGG19, from which pcl's black-box examples are transferred; otherwise as `vgg16`."""
    return _plain("vgg19", shape, classes, width=width, depths=VGG19)


def vgg16_dropout(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build rbf_cnn's VGG16 of conv-ReLU-BN-dropout with FC512-ReLU-BN-dropout .5 before the head.

    Dropout is .3 in the first block and .4 in the others; a block's last convolution, which a pooling follows,
    has none. `width` (None: 64) scales every layer. Stages: block1 to block5, gap [B, 512], fc512.
    """
    stages, features = _blocks("vgg16_dropout", shape, width=width, depths=VGG16, layers=_conv_relu_bn_dropout)
    hidden = scaled(512, width, first=FIRST)
    fc = nn.Linear(features, hidden)
    stages["fc512"] = nn.Sequential(fc, nn.ReLU(), nn.BatchNorm1d(hidden), nn.Dropout(0.5))
    return Staged(stages, nn.Linear(hidden, classes), shape)


def _plain(
    network: str, shape: tuple[int, int, int], classes: int, *, width: int | None, depths: Sequence[int]
) -> Staged:
    stages, features = _blocks(network, shape, width=width, depths=depths, layers=_conv_bn_relu)
    return Staged(stages, nn.Linear(features, classes), shape)


def _blocks(
    network: str, shape: tuple[int, int, int], *, width: int | None, depths: Sequence[int], layers: Layers
) -> tuple[dict[str, nn.Module], int]:
    """Return the five blocks and gap, and the features that gap gives.

    Poolings round up, so that MNIST's 28x28 end in one pixel as CIFAR's 32x32 do.
    """
    require_side(network, shape, least=SMALLEST)
    channels = shape[0]
    stages: dict[str, nn.Module] = {}
    for number, (depth, filters) in enumerate(zip(depths, FILTERS, strict=True), 1):
        out = scaled(filters, width, first=FIRST)
        rate = 0.3 if number == 1 else 0.4
        block: list[nn.Module] = []
        for place in range(1, depth + 1):
            block += layers(channels, out, rate if place < depth else 0.0)
            channels = out
        stages[f"block{number}"] = nn.Sequential(*block, nn.MaxPool2d(2, ceil_mode=True))
    stages["gap"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return stages, channels


def _conv_bn_relu(channels: int, out: int, rate: float) -> Sequence[nn.Module]:
    """Without dropout, and without a bias, which BatchNorm would take away again."""
    return [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


def _conv_relu_bn_dropout(channels: int, out: int, rate: float) -> Sequence[nn.Module]:
    dropout = [nn.Dropout(rate)] if rate else []
    return [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(out), *dropout]
