"""TODO: one line."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainables.fitting.optimisation import OptimisationSpec
from trainables.images import Shape
from trainables.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Task:
    """What a defense is built for: images of `shape` (C, H, W), classes, network, optimisation, device."""

    shape: Shape
    classes: int
    network: NetworkSpec
    optimisation: OptimisationSpec
    epochs: int
    device: torch.device
