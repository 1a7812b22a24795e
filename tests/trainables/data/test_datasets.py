import pytest
from image_tables import folder_of

from trainables.data import datasets as data
from trainables.data.datasets import resolve
from trainables.data.spec import DatasetSpec
from trainables.errors import InputError


def test_resolve_makes_the_folder_absolute_and_gives_its_digest(tmp_path, monkeypatch):
    folder_of(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    resolved = resolve(DatasetSpec(name="parquet:here"))
    assert resolved.name == f"parquet:{tmp_path / 'here'}"
    assert len(resolved.digest) == 20


def test_resolve_leaves_other_datasets_alone():
    spec = DatasetSpec(name="mnist")
    assert resolve(spec) is spec


def test_an_unknown_dataset_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown dataset 'fashionmnist'\. Did you mean 'fashion_mnist'"):
        data.dataset_of("fashionmnist")
