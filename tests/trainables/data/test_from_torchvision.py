from types import SimpleNamespace

import numpy as np
import pytest
import torchvision.datasets
from image_tables import noise, rows

from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images
from trainables.errors import InputError

NOWHERE = "http://127.0.0.1:9/"  # the discard port of this machine, on which nobody answers


def idx(array):
    """Encode an array in the format of the MNIST files."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def test_mnist_is_read_from_the_folder_where_torchvision_keeps_it(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    train, test = noise(10, 28, 28), noise(5, 28, 28, seed=1)
    for prefix, pixels in (("train", train), ("t10k", test)):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(len(pixels), dtype=np.uint8)))
    splits = load(DatasetSpec(name="mnist"), folder=tmp_path)
    assert np.array_equal(splits.test.pixels, test[:, None])
    assert rows(splits.train, splits.validation) == rows(Images(train[:, None], np.arange(10)))


@pytest.mark.parametrize(
    ("name", "attribute", "layout"),
    [
        pytest.param("cifar10", "CIFAR10", (0, 2, 3, 1), id="cifar10 keeps channels last"),
        pytest.param("svhn", "SVHN", (0, 1, 2, 3), id="svhn keeps channels first"),
    ],
)
def test_colour_images_become_planar(monkeypatch, name, attribute, layout):
    planar = noise(10, 3, 32, 32)

    def dataset(root, *, download, train=None, split=None):
        labels = {"labels": np.arange(10)} if name == "svhn" else {"targets": list(range(10))}
        assert (split is None) is (name != "svhn")
        return SimpleNamespace(data=planar.transpose(layout), **labels)

    monkeypatch.setattr(torchvision.datasets, attribute, dataset)
    splits = load(DatasetSpec(name=name))
    assert splits.shape == (3, 32, 32)
    assert np.array_equal(splits.test.pixels, planar)
    assert splits.test.labels.tolist() == list(range(10))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"])
def test_a_torchvision_dataset_that_is_not_there_names_the_ways_out(tmp_path, name):
    found_nothing = f"'{name}' was not found, and --download was not given; looked in "
    message = f"{found_nothing}.*--set dataset=digits.*--set dataset=parquet:<folder>"
    with pytest.raises(InputError, match=message):
        load(DatasetSpec(name=name), folder=tmp_path)


def test_a_download_that_fails_says_why_and_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE])
    with pytest.raises(InputError, match=r"could not be downloaded \(.*\); looked in .*--set dataset=digits"):
        load(DatasetSpec(name="mnist"), folder=tmp_path, download=True)
