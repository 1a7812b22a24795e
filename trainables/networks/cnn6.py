"""CNN-6 of Mustafa et al. (TPAMI 2020), on which pcl's MNIST and Fashion-MNIST tables are measured."""

from __future__ import annotations

from torch import nn

from trainables.networks.sizes import require_side, scaled
from trainables.networks.staged import Staged

FIRST = 32
SMALLEST = 8  # three poolings by 2


def cnn6(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build [C32 5x5 PReLU]x2-MP, [C64]x2-MP, [C128]x2-MP, GAP, FC512, FC64 and a linear layer.

    The paper lists no nonlinearity behind FC512 and FC64, and there is none; the convolutions are padded to keep
    their maps' size, which it leaves open. `width` (None: 32) scales every layer. Stages: conv1 to conv3 (two
    convolutions each), gap [B, 128], fc512 and fc64, named by their size at the paper's width.
    """
    require_side("cnn6", shape, least=SMALLEST)
    channels = shape[0]
    stages: dict[str, nn.Module] = {}
    for number, filters in enumerate((32, 64, 128), 1):
        out = scaled(filters, width, first=FIRST)
        stages[f"conv{number}"] = nn.Sequential(*_conv(channels, out), *_conv(out, out), nn.MaxPool2d(2))
        channels = out
    wide, narrow = (scaled(features, width, first=FIRST) for features in (512, 64))
    stages["gap"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["fc512"] = nn.Linear(channels, wide)
    stages["fc64"] = nn.Linear(wide, narrow)
    return Staged(stages, nn.Linear(narrow, classes), shape)


def _conv(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, out, 5, padding=2), nn.PReLU()
