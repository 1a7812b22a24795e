"""Networks by name: functions from image shape, classes and width to an nn.Module."""

from __future__ import annotations

from trainables.networks.cnn3 import CNN3

NETWORKS = {"cnn3": CNN3}
