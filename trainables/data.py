"""Datasets as in-memory uint8 tensors, decoded once and shared by every trial.

- `digits`: scikit-learn's bundled handwritten digits (1,797 scans, 8x8, resized to 28x28 unless told otherwise).
- `mnist`, `fashion_mnist`, `cifar10`, `cifar100`, `svhn`: torchvision's; downloaded only when asked.
- `parquet:<folder>`: image tables in the layout of the Hugging Face hub (`image: struct<bytes, path>`, `label`),
  files `train*.parquet` and `test*.parquet`, in the folder or in its `data/`.

The validation split is cut from the training images by a permutation that depends on nothing but their number,
so all seeds and defenses see the same split. Search and early stopping look at it; the test split is only
evaluated.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from trainables.errors import InputError, unknown
from trainables.specs import DatasetSpec

PARQUET = "parquet:"
TORCHVISION = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
}
DIGITS_SIZE = 28  # what cnn3, made for MNIST, expects
SPLIT_SEED = 0
GREY = ("1", "L", "LA")


@dataclass(frozen=True)
class Images:
    """uint8 images [N, C, H, W] and their int64 labels [N]."""

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Images:
        return Images(self.pixels[indices], self.labels[indices])


@dataclass(frozen=True)
class Splits:
    """A dataset, decoded: training, validation and test images and the number of classes."""

    train: Images
    validation: Images
    test: Images
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width


def check_name(name: str) -> None:
    """Raise InputError unless `name` is a dataset that could be loaded."""
    if name.startswith(PARQUET):
        if not name.removeprefix(PARQUET):
            raise InputError(f"{PARQUET} needs a folder, for example {PARQUET}path/to/folder")
    elif name != "digits" and name not in TORCHVISION:
        raise unknown("dataset", name, ["digits", *TORCHVISION, f"{PARQUET}<folder>"])


def resolve(spec: DatasetSpec) -> DatasetSpec:
    """Return the spec with a parquet folder's absolute path and content hash; check its files and columns."""
    if not spec.name.startswith(PARQUET):
        return spec
    folder = Path(spec.name.removeprefix(PARQUET)).expanduser().resolve()
    return spec.model_copy(update={"name": f"{PARQUET}{folder}", "digest": _digest(folder)})


def load(spec: DatasetSpec, *, folder: str | Path = "", download: bool = False) -> Splits:
    """Decode a dataset into memory.

    `folder` is where torchvision's datasets lie or go to. Raise InputError if the data are not there, cannot be
    downloaded or are corrupt.
    """
    if spec.name == "digits":
        train, test = _digits()
    elif spec.name.startswith(PARQUET):
        train, test = _parquet(Path(spec.name.removeprefix(PARQUET)))
    else:
        train, test = _torchvision(spec.name, Path(folder).expanduser(), download=download)
    size = spec.image_size or (DIGITS_SIZE if spec.name == "digits" else None)
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    train, validation = _hold_out(train, spec)
    return Splits(_resized(train, size), _resized(validation, size), _resized(test, size), classes)


def _hold_out(images: Images, spec: DatasetSpec) -> tuple[Images, Images]:
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = max(1, round(len(images) * spec.validation_fraction))
    if len(images) - held < 1:
        raise InputError(f"dataset.validation_fraction={spec.validation_fraction} leaves no image to train on")
    return images.take(order[held:][: spec.train_examples]), images.take(order[:held])


def _resized(images: Images, size: int | None) -> Images:
    """Resize to `size` x `size` by area or bilinear interpolation, rounded to uint8."""
    if size is None or images.pixels.shape[2:] == (size, size):
        return images
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(images.pixels).float()
    resized = interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return Images(resized.round().clamp(0, 255).to(torch.uint8).numpy(), images.labels)


def _digits() -> tuple[Images, Images]:
    """Scikit-learn's digits, levels 0..16 stretched to 0..255; one in five, chosen once, is the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    images = Images(pixels, digits.target.astype(np.int64))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = len(images) // 5
    return images.take(order[held:]), images.take(order[:held])


def _torchvision(name: str, folder: Path, *, download: bool) -> tuple[Images, Images]:
    from torchvision import datasets

    kind: Callable[..., Any] = getattr(datasets, TORCHVISION[name])
    splits = [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]
    try:
        train, test = (kind(str(folder), download=download, **split) for split in splits)
    except (RuntimeError, OSError) as error:
        reason = (
            f"could not be downloaded ({_first_line(error)})"
            if download
            else "is not there and was not asked to be downloaded (--download)"
        )
        raise InputError(
            f"dataset {name!r} {reason}; looked in {str(folder)!r} (--data or ROBUST_SWEEP_DATA). "
            f"Without a network: --set dataset=digits, which is bundled, or --set dataset={PARQUET}<folder>."
        ) from None
    return _from_torchvision(train), _from_torchvision(test)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _from_torchvision(dataset: Any) -> Images:
    pixels = np.asarray(dataset.data)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3:
        pixels = pixels.transpose(0, 3, 1, 2)
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return Images(np.ascontiguousarray(pixels), np.asarray(labels, dtype=np.int64))


def _tables(folder: Path, split: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"dataset folder {str(folder)!r} must be a folder, and is not there")
    return sorted(file for at in (folder, folder / "data") for file in at.glob(f"{split}*.parquet"))


def _digest(folder: Path) -> str:
    """Hash the files that a folder's splits consist of, after checking their columns."""
    whole = hashlib.sha256()
    for split in ("train", "test"):
        files = _tables(folder, split)
        if not files:
            found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
            raise InputError(f"{str(folder)!r} must hold {split}*.parquet (or data/{split}*.parquet), found {found}")
        for file in files:
            stat = file.stat()
            whole.update(split.encode() + _file_digest(file, stat.st_mtime_ns, stat.st_size))
    return whole.hexdigest()[:20]


@functools.cache
def _file_digest(file: Path, mtime_ns: int, size: int) -> bytes:
    """Check and hash a file, again only when its time or size has changed."""
    _check_columns(file)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _check_columns(file: Path) -> None:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{str(file)!r} is no Parquet table: {_first_line(error)}") from None
    image = schema.field("image").type if "image" in schema.names else None
    has_image = image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    has_label = "label" in schema.names and pa.types.is_integer(schema.field("label").type)
    if not (has_image and has_label):
        got = ", ".join(f"{field.name}: {field.type}" for field in schema) or "none"
        raise InputError(
            f"{str(file)!r} must have the columns image: struct<bytes: binary, path: string> and label: int64, "
            f"got {got}"
        )


def _parquet(folder: Path) -> tuple[Images, Images]:
    train, test = (_decoded(_tables(folder, split)) for split in ("train", "test"))
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise InputError(
            f"{str(folder)!r}: training images are {train.pixels.shape[1:]} (channels, height, width), "
            f"test images {test.pixels.shape[1:]}"
        )
    return train, test


def _decoded(files: list[Path]) -> Images:
    pixels, labels = [], []
    for file in files:
        table = pq.read_table(file, columns=["image", "label"])
        contents = table.column("image").combine_chunks().field("bytes")
        pixels += [_decode(content.as_py(), file, row) for row, content in enumerate(contents)]
        labels.append(table.column("label").to_numpy())
    shapes = {image.shape for image in pixels}
    if len(shapes) != 1:
        raise InputError(f"{str(files[0].parent)!r}: all images must have one size and mode, got {sorted(shapes)[:4]}")
    classes = np.concatenate(labels).astype(np.int64)
    if (classes < 0).any():
        raise InputError(f"{str(files[0].parent)!r}: labels must be >= 0, got {classes.min()}")
    return Images(np.stack(pixels), classes)


def _decode(content: bytes | None, file: Path, row: int) -> np.ndarray:
    """Return uint8 pixels [C, H, W]: one channel for grey images, else RGB."""
    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            mode = image.mode
            pixels = np.asarray(image.convert("L" if mode in GREY else "RGB"))
    except UnidentifiedImageError:
        raise InputError(f"{str(file)!r}: the image in row {row} is corrupt: it has no known format") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{str(file)!r}: the image in row {row} is corrupt: {_first_line(error)}") from None
    if mode.startswith(("I", "F")):
        raise InputError(f"{str(file)!r}: images must have 8 bits a channel, got mode {mode} in row {row}")
    return pixels[None] if mode in GREY else pixels.transpose(2, 0, 1)
