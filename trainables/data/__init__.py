"""Datasets by name, decoded into memory. Adding one is a file and a line here."""

from __future__ import annotations

from functools import partial

from trainables.data.datasets import dataset_of, load, resolve
from trainables.data.digits import DIGITS_SIZE, read_digits
from trainables.data.from_parquet import read_parquet, resolve_folder
from trainables.data.from_torchvision import ABOUT, TORCHVISION, from_torchvision
from trainables.data.registry import DATASETS, Dataset
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images, Splits

DATASETS.add_all(
    digits=Dataset(read_digits, image_size=DIGITS_SIZE),
    **{name: Dataset(partial(from_torchvision, name), about=ABOUT[name]) for name in TORCHVISION},
    parquet=Dataset(read_parquet, argument="<folder>", resolve=resolve_folder),
)

__all__ = ["DATASETS", "Dataset", "DatasetSpec", "Images", "Splits", "dataset_of", "load", "resolve"]
