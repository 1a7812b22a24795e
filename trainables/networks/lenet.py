"""LeNet-5 of LeCun et al. (1998), with the ReLU and max pooling of today in place of tanh and averages."""

from __future__ import annotations

from torch import nn

from trainables.networks.sizes import require_side, scaled
from trainables.networks.staged import Staged

FIRST = 6
SMALLEST = 12  # pool, conv, pool: 12 -> 6 -> 2 -> 1


def lenet(shape: tuple[int, int, int], classes: int, *, width: int | None = None) -> Staged:
    """Build C6 5x5-MP, C16 5x5-MP, FC120, FC84, ReLU each, and a linear layer.

    The first convolution is padded by 2, as LeCun et al. pad MNIST to 32x32. `width` (None: 6) scales every layer.
    Stages: conv1, conv2, fc1, fc2.
    """
    require_side("lenet", shape, least=SMALLEST)
    channels, height, side = shape
    c1, c2, f1, f2 = (scaled(size, width, first=FIRST) for size in (6, 16, 120, 84))
    flat = c2 * ((height // 2 - 4) // 2) * ((side // 2 - 4) // 2)
    stages: dict[str, nn.Module] = {
        "conv1": nn.Sequential(nn.Conv2d(channels, c1, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        "conv2": nn.Sequential(nn.Conv2d(c1, c2, 5), nn.ReLU(), nn.MaxPool2d(2)),
        "fc1": nn.Sequential(nn.Flatten(), nn.Linear(flat, f1), nn.ReLU()),
        "fc2": nn.Sequential(nn.Linear(f1, f2), nn.ReLU()),
    }
    return Staged(stages, nn.Linear(f2, classes), shape)
