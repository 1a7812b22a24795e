"""Images, and how they are split and resized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.spec import DatasetSpec
from trainables.errors import InputError

SPLIT_SEED = 0


@dataclass(frozen=True)
class Images:
    """uint8 images [N, C, H, W] and their labels [N, ...]: int64 classes, or what the dataset's judge compares."""

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Images:
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class Splits:
    """A dataset, decoded: training, validation and test images.

    `outputs` is how many numbers a network gives for an image, which is the number of classes where there are
    classes; `judge` names the judge by which answers are scored.
    """

    train: Images
    validation: Images
    test: Images
    outputs: int
    judge: str = "classification"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width


def hold_out(images: Images, spec: DatasetSpec) -> tuple[Images, Images]:
    """Split training images into those to train on and those held out for validation."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = max(1, round(len(images) * spec.validation_fraction))
    if len(images) - held < 1:
        raise InputError(f"dataset.validation_fraction={spec.validation_fraction} leaves no image to train on")
    return images.take(order[held:][: spec.train_examples]), images.take(order[:held])


def resized(images: Images, size: int | None) -> Images:
    """Resize to `size` x `size` by area or bilinear interpolation, rounded to uint8."""
    if size is None or images.pixels.shape[2:] == (size, size):
        return images
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(images.pixels).float()
    resized = interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return Images(resized.round().clamp(0, 255).to(torch.uint8).numpy(), images.labels)
