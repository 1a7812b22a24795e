"""The structure of every network: named stages, one after the other, and a linear head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from trainables.errors import unknown
from trainables.images import Shape, require_input

Widen = Callable[[int], tuple[nn.Module, int]]
"""Given the channels of a feature map, a module that follows it and the channels that come out."""


def unchanged(channels: int) -> tuple[nn.Module, int]:
    """The `Widen` that adds nothing."""
    return nn.Identity(), channels


class Staged(nn.Module):
    """A classifier: images [B, C, H, W] in [0, 1], of the `shape` it is built for -> logits [B, classes].

    `stages` run in their order; the last one's output is flattened to the embedding [B, D] that `head` classifies.
    A defense that supervises inner features asks for them by their stage's name. Raise InputError for other images.
    """

    def __init__(self, stages: Mapping[str, nn.Module], head: nn.Linear, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stages = nn.ModuleDict(stages)
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """Return the embedding [B, D], D = `head.in_features`."""
        require_input(self, images, self.shape)
        for stage in self.stages.values():
            images = stage(images)
        return torch.flatten(images, 1)

    def tapped(self, images: Tensor, names: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits and the outputs of the named stages, from one pass; raise InputError for a wrong name."""
        require_input(self, images, self.shape)
        taps: dict[str, Tensor] = {}
        for name in names:
            if name not in self.stages:
                raise unknown("stage", name, self.stages)
        for name, stage in self.stages.items():
            images = stage(images)
            if name in names:
                taps[name] = images
        return self.head(torch.flatten(images, 1)), taps
