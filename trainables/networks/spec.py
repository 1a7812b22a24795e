"""NetworkSpec: which network, and how wide."""

from __future__ import annotations

from pydantic import (
    PositiveInt,
)

from trainables.values import Frozen


class NetworkSpec(Frozen):
    """Which network; `width` is the number of filters of its first layer (None: the network's own)."""

    name: str = "cnn3"
    width: PositiveInt | None = None
