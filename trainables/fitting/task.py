"""Task: what a defense is built for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainables.fitting.optimisation import OptimisationSpec
from trainables.images import Shape
from trainables.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Task:
    """What a defense is built for: images of `shape` (C, H, W), `outputs` numbers an image, network, optimisation.

    `outputs` is the number of classes where there are classes.
    """

    shape: Shape
    outputs: int
    network: NetworkSpec
    optimisation: OptimisationSpec
    epochs: int
    device: torch.device
