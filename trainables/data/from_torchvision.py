"""Datasets of torchvision, downloaded only when asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.splits import Images
from trainables.errors import InputError, first_line

TORCHVISION = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
}
ABOUT = {
    "mnist": "Handwritten digits: 70,000 grey images of 28x28, 10 classes, from torchvision (LeCun et al. 1998).",
    "fashion_mnist": "Clothes: 70,000 grey images of 28x28, 10 classes, from torchvision (Xiao et al. 2017).",
    "cifar10": "Animals and vehicles: 60,000 colour images of 32x32, 10 classes, from torchvision (Krizhevsky 2009).",
    "cifar100": "Objects: 60,000 colour images of 32x32, 100 classes, from torchvision (Krizhevsky 2009).",
    "svhn": "House numbers: 99,289 colour images of 32x32, 10 digits, from torchvision (Netzer et al. 2011).",
}


def from_torchvision(name: str, argument: str, *, folder: Path, download: bool) -> tuple[Images, Images]:
    """Read one of the TORCHVISION datasets, by its name here."""
    from torchvision import datasets

    kind: Callable[..., Any] = getattr(datasets, TORCHVISION[name])
    splits = [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]
    try:
        train, test = (kind(str(folder), download=download, **split) for split in splits)
    except (RuntimeError, OSError) as error:
        reason = (
            f"could not be downloaded ({first_line(error)})"
            if download
            else "was not found, and --download was not given"
        )
        raise InputError(
            f"dataset {name!r} {reason}; looked in {str(folder)!r} (--data or ROBUST_SWEEP_DATA). "
            f"Without a network: --set dataset=digits, which is bundled, or --set dataset=parquet:<folder>."
        ) from None
    return _images_of(train), _images_of(test)


def _images_of(dataset: Any) -> Images:
    pixels = np.asarray(dataset.data)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3:
        pixels = pixels.transpose(0, 3, 1, 2)
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return Images(np.ascontiguousarray(pixels), np.asarray(labels, dtype=np.int64))
