"""Networks by name."""

from __future__ import annotations

from typing import Protocol

from trainables.images import Shape
from trainables.networks.staged import Staged
from trainables.registry import Registry


class Network(Protocol):
    """Build a network for images of `shape` (C, H, W) that gives `outputs` numbers an image.

    `width` is the number of filters of its first layer (None: its own). Some take more keywords: cnn3's `after_conv`.
    """

    def __call__(self, shape: Shape, outputs: int, /, *, width: int | None = None) -> Staged: ...


NETWORKS: Registry[Network] = Registry("network", "networks", needs=("__call__",))
