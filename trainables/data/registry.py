"""Datasets by name, and what a dataset offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainables.data.splits import Images
from trainables.registry import Registry, names_of


class Reader(Protocol):
    """Decode a dataset: return its training and test images.

    `argument` is what the dataset's name has behind a colon (a Parquet folder), "" if nothing. `folder` is where
    files are looked for, and downloaded to if `download`. Raise InputError if the data are missing or corrupt.
    """

    def __call__(self, argument: str, *, folder: Path, download: bool) -> tuple[Images, Images]: ...


@dataclass(frozen=True)
class Dataset:
    """How a dataset is read, and by which judge the answers to it are scored.

    `argument` describes what the name takes behind a colon, such as "<folder>"; "" if it takes nothing. `resolve`
    turns an argument into its final form and the digest of its content, and raises InputError if it is wrong.
    `image_size` is the side in pixels that images are resized to by default (None: as they are). `about` is a sentence
    on the images (default: that of the docstring of the reader's module).
    """

    read: Reader
    judge: str = "classification"
    image_size: int | None = None
    argument: str = ""
    resolve: Callable[[str], tuple[str, str]] | None = None
    about: str = ""


DATASETS: Registry[Dataset] = Registry("dataset", "datasets", needs=names_of(Dataset))
