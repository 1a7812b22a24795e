"""Batches: the training images of one epoch, in a new order and augmented."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from trainables.fitting.augmentation import AUGMENTATIONS
from trainables.fitting.optimisation import OptimisationSpec
from trainables.images import as_float, require_pixels

Batch = tuple[Tensor, Tensor]


class Batches:
    """The training images on the device, uint8 [N, C, H, W]: each iteration is one epoch in a new order.

    A batch is float32 images [B, C, H, W] in [0, 1] and int64 labels [B]. Order and augmentation come from the
    generator, which lives on the CPU so that they are the same on every device.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, optimisation: OptimisationSpec, generator: torch.Generator
    ) -> None:
        require_pixels(pixels)
        self.pixels, self.labels = pixels, labels
        self.size, self.augmentation = optimisation.batch_size, optimisation.augmentation
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.labels) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.labels), generator=self.generator).to(self.labels.device)
        for indices in order.split(self.size):
            images = self.pixels[indices]
            for name in self.augmentation:
                images = AUGMENTATIONS[name](images, self.generator)
            yield as_float(images), self.labels[indices]
