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

from pathlib import Path

from trainables.data.digits import DIGITS_SIZE, _digits
from trainables.data.from_parquet import PARQUET, _digest, _parquet
from trainables.data.from_torchvision import TORCHVISION, _torchvision
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Splits, _hold_out, _resized
from trainables.errors import InputError, unknown


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
