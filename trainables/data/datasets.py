"""Datasets as in-memory uint8 tensors, decoded once and shared by every trial.

- `digits`: scikit-learn's bundled handwritten digits (1,797 scans of 8x8; default size: 28x28).
- `mnist`, `fashion_mnist`, `cifar10`, `cifar100`, `svhn`: torchvision's; downloaded only when asked.
- `parquet:<folder>`: image tables in the layout of the Hugging Face hub (`image: struct<bytes, path>`, `label`),
  files `train*.parquet` and `test*.parquet`, in the folder or in its `data/`.

The validation split is cut from the training images by a permutation that depends on nothing but their number,
so all seeds and defenses see the same split. Search and early stopping look at it; the test split is only
evaluated.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.registry import DATASETS, Dataset
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Splits, hold_out, resized
from trainables.errors import InputError, unknown
from trainables.judges import JUDGES


def dataset_of(name: str) -> tuple[Dataset, str]:
    """Return the dataset that `name` or `name:argument` stands for, and the argument; raise InputError for another."""
    known, colon, argument = name.partition(":")
    if known not in DATASETS:
        raise unknown("dataset", name, [_shown(name) for name in DATASETS])
    dataset = DATASETS[known]
    if dataset.argument and not argument:
        example = dataset.argument.replace("<", "path/to/").replace(">", "")
        raise InputError(f"{known}: needs a {dataset.argument.strip('<>')}, for example {known}:{example}")
    if colon and not dataset.argument:
        raise InputError(f"dataset {known} takes nothing behind a colon, got {name!r}")
    return dataset, argument


def _shown(name: str) -> str:
    """Write a dataset's name as a user writes it: with the argument behind its colon."""
    dataset = DATASETS.imported().get(name)
    return f"{name}:{dataset.argument}" if dataset and dataset.argument else name


def resolve(spec: DatasetSpec) -> DatasetSpec:
    """Return the spec with an absolute path and a content hash where the dataset is a folder; check its files."""
    dataset, argument = dataset_of(spec.name)
    if dataset.resolve is None:
        return spec
    argument, digest = dataset.resolve(argument)
    return spec.model_copy(update={"name": f"{spec.name.partition(':')[0]}:{argument}", "digest": digest})


def load(spec: DatasetSpec, *, folder: str | Path = "", download: bool = False) -> Splits:
    """Decode a dataset into memory.

    `folder` is where torchvision's datasets are stored. Raise InputError if the data are missing, cannot be
    downloaded or are corrupt.
    """
    dataset, argument = dataset_of(spec.name)
    train, test = dataset.read(argument, folder=Path(folder).expanduser(), download=download)
    size = spec.image_size or dataset.image_size
    outputs = max(JUDGES[dataset.judge].outputs(images.labels) for images in (train, test))
    train, validation = hold_out(train, spec)
    return Splits(resized(train, size), resized(validation, size), resized(test, size), outputs, dataset.judge)
