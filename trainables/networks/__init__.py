"""Networks by name: functions from image shape, classes and width to an nn.Module."""

from __future__ import annotations

from collections.abc import Callable

from trainables.networks.cnn3 import cnn3
from trainables.networks.staged import Staged

NETWORKS: dict[str, Callable[..., Staged]] = {"cnn3": cnn3}
