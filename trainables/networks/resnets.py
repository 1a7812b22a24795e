"""Residual networks (He et al., CVPR 2016) as the papers use them: a 3x3 stem, residual stages, global pooling.

Blocks are torchvision's: where a block changes the shape, its shortcut is a 1x1 convolution with BatchNorm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import nn

from trainables.networks.sizes import require_side, scaled
from trainables.networks.staged import Staged

Block = Literal["basic", "bottleneck"]


def resnet5(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build afd's MNIST network: C32/2-BN-ReLU, a basic block 64/2, GAP, FC200-ReLU and a linear layer.

    `width` (None: 32) scales every layer. Stages: stem, layer1, gap [B, 64], fc200.
    """
    w = width or 32
    stages, features = _trunk("resnet5", shape, "basic", stem=(w, 2), planes=[2 * w], strides=[2], blocks=1)
    hidden = scaled(200, width, first=32)
    stages["fc200"] = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
    return _initialised(Staged(stages, nn.Linear(hidden, classes), shape))


def resnet18(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build ResNet18 with the CIFAR stem (3x3, no pooling) and a 512-d embedding, as afd uses it.

    `width` (None: 64) scales every layer. Stages: stem, layer1 to layer4, gap [B, 512].
    """
    w = width or 64
    planes = [w, 2 * w, 4 * w, 8 * w]
    stages, features = _trunk("resnet18", shape, "basic", stem=(w, 1), planes=planes, strides=[1, 2, 2, 2], blocks=2)
    return _initialised(Staged(stages, nn.Linear(features, classes), shape))


def resnet20(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build wnll's ResNet20: a CIFAR ResNet of 16-32-64 basic blocks, GAP 64 and the buffer layer FC64-ReLU."""
    return _buffered("resnet20", shape, classes, width=width, blocks=3)


def resnet56(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build wnll's ResNet56: a CIFAR ResNet of 16-32-64 basic blocks, GAP 64 and the buffer layer FC64-ReLU."""
    return _buffered("resnet56", shape, classes, width=width, blocks=9)


def resnet110(
    shape: tuple[int, int, int], classes: int, *, width: int | None = None, blocks_per_stage: int = 12
) -> Staged:
    """Build pcl's ResNet-110: bottleneck stages of 16, 32, 64 filters (x4), GAP, FC1024 and a linear layer.

    12 blocks a stage are the paper's 109 convolutions; the authors' code builds 18. There is no nonlinearity behind
    FC1024. `width` (None: 16) scales every layer. Stages are numbered as in the paper, whose layer 1 is the stem:
    stem, layer2, layer3 (128 channels), layer4, gap [B, 256], fc1024.
    """
    w = width or 16
    stages, features = _trunk(
        "resnet110",
        shape,
        "bottleneck",
        stem=(w, 1),
        planes=[w, 2 * w, 4 * w],
        strides=[1, 2, 2],
        blocks=blocks_per_stage,
        first_number=2,
    )
    hidden = scaled(1024, width, first=16)
    stages["fc1024"] = nn.Linear(features, hidden)
    return _initialised(Staged(stages, nn.Linear(hidden, classes), shape))


def _buffered(network: str, shape: tuple[int, int, int], classes: int, *, width: int | None, blocks: int) -> Staged:
    """Build a CIFAR ResNet of 16-32-64 basic blocks, GAP 64 and the buffer layer FC64-ReLU of Wang et al. (2018).

    `width` (None: 16) scales every layer. Stages: stem, layer1 to layer3, gap [B, 64], buffer [B, 64].
    """
    w = width or 16
    stages, features = _trunk(
        network, shape, "basic", stem=(w, 1), planes=[w, 2 * w, 4 * w], strides=[1, 2, 2], blocks=blocks
    )
    stages["buffer"] = nn.Sequential(nn.Linear(features, features), nn.ReLU())
    return _initialised(Staged(stages, nn.Linear(features, classes), shape))


def _trunk(
    network: str,
    shape: tuple[int, int, int],
    block: Block,
    *,
    stem: tuple[int, int],
    planes: Sequence[int],
    strides: Sequence[int],
    blocks: int,
    first_number: int = 1,
) -> tuple[dict[str, nn.Module], int]:
    """Return the stages stem (filters, stride), layer<n> and gap, and the features [B, D] that gap gives.

    Images must be as wide as all strides together, so that every stride halves a map.
    """
    channels, stride = stem
    require_side(network, shape, least=stride * math.prod(strides))
    conv = nn.Conv2d(shape[0], channels, 3, stride, padding=1, bias=False)
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())}
    for number, (filters, step) in enumerate(zip(planes, strides, strict=True), first_number):
        stages[f"layer{number}"], channels = residual_stage(block, channels, filters, stride=step, blocks=blocks)
    stages["gap"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return stages, channels


def residual_stage(block: Block, channels: int, planes: int, *, stride: int, blocks: int) -> tuple[nn.Sequential, int]:
    """Return `blocks` residual blocks, of which the first takes the stride, and the channels that come out."""
    from torchvision.models import resnet  # takes seconds, which no other network is to pay

    made = resnet.BasicBlock if block == "basic" else resnet.Bottleneck
    out = planes * made.expansion
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    rest = [made(out, planes) for _ in range(blocks - 1)]
    return nn.Sequential(made(channels, planes, stride, shortcut), *rest), out


def _initialised(network: Staged) -> Staged:
    """Draw the convolutions' weights from N(0, 2 / fan-out) (He et al., ICCV 2015), as torchvision does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
