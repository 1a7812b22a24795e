import io
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision.datasets
from PIL import Image
from sklearn.datasets import load_digits

from trainables.data import datasets as data
from trainables.data.datasets import load, resolve
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images, Splits
from trainables.errors import InputError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NOWHERE = "http://127.0.0.1:9/"  # the discard port of this machine, on which nobody answers


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_table(file, contents, labels):
    """Write a table as the Hugging Face hub has it; `contents` are pixels or the bytes of a file."""
    encoded = [c if isinstance(c, bytes | None) else png(c) for c in contents]
    rows = [{"bytes": e, "path": f"{i}.png"} for i, e in enumerate(encoded)]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(rows, IMAGE), "label": pa.array(labels, pa.int64())}), file)


def noise(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def folder_of(folder, contents=None, labels=(0, 1, 2, 1)):
    """Write a folder that can be loaded, but for the training images that are given."""
    write_table(folder / "train.parquet", noise(4, 6, 5) if contents is None else contents, labels)
    write_table(folder / "test.parquet", noise(3, 6, 5, seed=1), [2, 1, 0])
    return folder


def read(folder, **settings):
    return load(resolve(DatasetSpec(name=f"parquet:{folder}", **settings)))


def rows(*parts):
    """Return images with their labels as a sorted list, to compare sets that may hold an image twice."""
    return sorted((image.tobytes(), int(label)) for p in parts for image, label in zip(p.pixels, p.labels, strict=True))


def same(a: Splits, b: Splits) -> bool:
    parts = ("train", "validation", "test")
    return all(
        np.array_equal(getattr(getattr(a, part), field), getattr(getattr(b, part), field))
        for part in parts
        for field in ("pixels", "labels")
    )


# --- digits and what all datasets share


def test_digits_are_28x28_grey_bytes_of_ten_classes(digits):
    assert (digits.shape, digits.outputs) == ((1, 28, 28), 10)
    for part in (digits.train, digits.validation, digits.test):
        assert part.pixels.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.pixels.shape == (len(part), 1, 28, 28)
        assert part.pixels.max() == 255
        assert part.pixels.min() == 0


def test_splits_of_digits_hold_every_scan_once():
    splits = load(DatasetSpec(image_size=8))
    scans = load_digits()
    whole = Images(np.round(scans.images * 255 / 16).astype(np.uint8)[:, None], scans.target)
    assert rows(splits.train, splits.validation, splits.test) == rows(whole)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1294, 144, 359)


def test_splits_are_the_same_on_each_call_whatever_the_global_seed(digits):
    np.random.seed(1)  # what must not matter
    assert same(digits, load(DatasetSpec()))


def test_training_examples_leave_validation_and_test_as_they_are(digits):
    fewer = load(DatasetSpec(train_examples=100))
    assert np.array_equal(fewer.train.pixels, digits.train.pixels[:100])
    assert rows(fewer.validation, fewer.test) == rows(digits.validation, digits.test)
    assert fewer.outputs == 10


def test_more_training_examples_than_there_are_means_all(digits):
    assert same(load(DatasetSpec(train_examples=10**6)), digits)


@pytest.mark.parametrize(("fraction", "held"), [(0.1, 144), (0.5, 719), (1e-6, 1)])
def test_validation_takes_its_share_of_the_training_images(fraction, held):
    splits = load(DatasetSpec(image_size=8, validation_fraction=fraction))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1438 - held, held, 359)


@pytest.mark.parametrize("size", [16, 20, 32])
def test_resizing_agrees_with_pillow_to_one_level(size):
    small, resized = load(DatasetSpec(image_size=8)), load(DatasetSpec(image_size=size))
    for before, after in zip(small.test.pixels[:50, 0], resized.test.pixels[:50, 0], strict=True):
        pillow = np.asarray(Image.fromarray(before).resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(pillow.astype(int) - after).max() <= 1


def test_shrinking_averages_over_all_pixels(tmp_path):
    """Of white lines in every fourth column, picking pixels would keep all or nothing."""
    lines = np.zeros((16, 16), np.uint8)
    lines[:, ::4] = 255
    write_table(tmp_path / "train.parquet", [lines] * 4, [0, 1, 0, 1])
    write_table(tmp_path / "test.parquet", [lines] * 2, [0, 1])
    splits = read(tmp_path, image_size=4)
    assert splits.shape == (1, 4, 4)
    assert np.abs(splits.test.pixels[..., 1:3].astype(int) - 255 / 4).max() <= 1


# --- parquet


@pytest.mark.parametrize(
    ("shape", "channels"), [pytest.param((6, 5), 1, id="grey"), pytest.param((6, 5, 3), 3, id="RGB")]
)
def test_parquet_pixels_come_back_exactly(tmp_path, shape, channels):
    train, test = noise(10, *shape), noise(4, *shape, seed=1)
    write_table(tmp_path / "train.parquet", train, range(10))
    write_table(tmp_path / "test.parquet", test, [3, 2, 1, 0])
    splits = read(tmp_path)

    def planar(pixels):
        return pixels.reshape(len(pixels), 6, 5, channels).transpose(0, 3, 1, 2)

    assert splits.shape == (channels, 6, 5)
    assert splits.outputs == 10
    assert np.array_equal(splits.test.pixels, planar(test))
    assert splits.test.labels.tolist() == [3, 2, 1, 0]
    assert rows(splits.train, splits.validation) == rows(Images(planar(train), np.arange(10)))


@pytest.mark.parametrize("below", ["", "data"], ids=["beside", "in data/"])
def test_shards_are_read_in_order(tmp_path, below):
    pixels = noise(9, 4, 4)
    for shard, at in enumerate((slice(0, 4), slice(4, 9))):
        write_table(tmp_path / below / f"train-0000{shard}-of-00002.parquet", pixels[at], range(9)[at])
    write_table(tmp_path / below / "test-00000-of-00001.parquet", pixels, range(9))
    folder_of(tmp_path / "one", pixels, range(9))
    write_table(tmp_path / "one" / "test.parquet", pixels, range(9))
    assert same(read(tmp_path), read(tmp_path / "one"))


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3)], ids=lambda value: str(value)
)
def test_modes_of_images_become_grey_or_rgb(tmp_path, mode, channels):
    stream = io.BytesIO()
    Image.fromarray(noise(1, 6, 5)[0]).convert(mode).save(stream, "PNG")
    write_table(tmp_path / "train.parquet", [stream.getvalue()] * 4, [0, 1, 0, 1])
    write_table(tmp_path / "test.parquet", [stream.getvalue()] * 2, [0, 1])
    assert read(tmp_path).shape == (channels, 6, 5)


def test_resolve_makes_the_folder_absolute_and_gives_its_digest(tmp_path, monkeypatch):
    folder_of(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    resolved = resolve(DatasetSpec(name="parquet:here"))
    assert resolved.name == f"parquet:{tmp_path / 'here'}"
    assert len(resolved.digest) == 20


def test_resolve_leaves_other_datasets_alone():
    spec = DatasetSpec(name="mnist")
    assert resolve(spec) is spec


def test_the_digest_follows_the_content_and_not_the_place(tmp_path):
    here, there = folder_of(tmp_path / "here"), folder_of(tmp_path / "there")
    other = folder_of(tmp_path / "other", labels=(0, 1, 2, 2))
    digests = [resolve(DatasetSpec(name=f"parquet:{at}")).digest for at in (here, there, other)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_the_digest_tells_train_from_test(tmp_path):
    """One shard moved from the training to the test split makes other data of the same files."""
    tables = folder_of(tmp_path / "whole")
    first, second = ((tables / f"{split}.parquet").read_bytes() for split in ("train", "test"))
    for place, names in (("here", ("train-0", "train-1", "test-0")), ("there", ("train-0", "test-0", "test-1"))):
        (tmp_path / place).mkdir()
        for name, content in zip(names, (first, second, second), strict=True):
            (tmp_path / place / f"{name}.parquet").write_bytes(content)
    digests = {resolve(DatasetSpec(name=f"parquet:{tmp_path / place}")).digest for place in ("here", "there")}
    assert len(digests) == 2


def without_label(folder):
    pq.write_table(pa.table({"image": pa.array([], IMAGE)}), folder / "train.parquet")


def flat_image(folder):
    pq.write_table(pa.table({"image": pa.array([b""]), "label": pa.array([0])}), folder / "train.parquet")


def text_label(folder):
    pq.write_table(
        pa.table({"image": pa.array([], IMAGE), "label": pa.array([], pa.string())}), folder / "train.parquet"
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            lambda f: (f / "train.parquet").unlink(), r"must hold train\*\.parquet .*found test", id="no train"
        ),
        pytest.param(lambda f: (f / "test.parquet").unlink(), r"must hold test\*\.parquet .*found train", id="no test"),
        pytest.param(lambda f: (f / "train.parquet").write_bytes(b"x" * 99), "train.parquet' is no Parquet", id="text"),
        pytest.param(without_label, r"must have the columns .*label: int64, got image: struct", id="no label"),
        pytest.param(flat_image, r"must have the columns .*got image: binary, label: int64", id="image is no struct"),
        pytest.param(text_label, r"must have the columns .*label: string", id="label is text"),
    ],
)
def test_a_folder_is_refused_before_it_is_read(tmp_path, spoil, message):
    folder = folder_of(tmp_path)
    spoil(folder)
    with pytest.raises(InputError, match=message):
        resolve(DatasetSpec(name=f"parquet:{folder}"))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent' must be a folder, and is not there"):
        resolve(DatasetSpec(name=f"parquet:{tmp_path / 'absent'}"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        resolve(DatasetSpec(name=f"parquet:{tmp_path}"))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no image", id="text"),
        pytest.param(b"", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(png(noise(1, 6, 5)[0])[:60], id="cut off"),
    ],
)
def test_a_corrupt_image_is_named_by_file_and_row(tmp_path, content):
    folder = folder_of(tmp_path, [*noise(2, 6, 5), content, *noise(1, 6, 5)])
    with pytest.raises(InputError, match=r"train\.parquet': the image in row 2 is corrupt"):
        read(folder)


@pytest.mark.parametrize(
    ("contents", "labels", "message"),
    [
        pytest.param([*noise(2, 6, 5), *noise(2, 5, 6)], [0] * 4, r"one size and mode, got \[\(1, 5, 6\)", id="sizes"),
        pytest.param([*noise(2, 6, 5), *noise(2, 6, 5, 3)], [0] * 4, "must have one size and mode", id="modes"),
        pytest.param(noise(4, 8, 8), [0] * 4, r"training images are \(1, 8, 8\).*test images \(1, 6, 5\)", id="test"),
        pytest.param(noise(4, 6, 5), [0, 1, -1, 2], r"labels must be >= 0, got -1", id="negative label"),
        pytest.param(noise(1, 6, 5), [0], r"validation_fraction=0\.1 leaves no image to train on", id="one image"),
    ],
)
def test_images_that_make_no_dataset_are_refused(tmp_path, contents, labels, message):
    with pytest.raises(InputError, match=message):
        read(folder_of(tmp_path, contents, labels))


@pytest.mark.slow
def test_real_mnist_is_whole(shared_datasets):
    splits = read(shared_datasets / "mnist")
    assert (splits.shape, splits.outputs) == ((1, 28, 28), 10)
    assert len(splits.train) + len(splits.validation) == 60_000
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(splits.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixels = np.concatenate([splits.train.pixels, splits.validation.pixels])
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the mean that every tutorial normalises by
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=5e-5)


# --- torchvision


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
    message = rf"'{name}' is not there .*--download\); looked in .*--set dataset=digits.*--set dataset=parquet:<folder>"
    with pytest.raises(InputError, match=message):
        load(DatasetSpec(name=name), folder=tmp_path)


def test_a_download_that_fails_says_why_and_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE])
    with pytest.raises(InputError, match=r"could not be downloaded \(.*\); looked in .*--set dataset=digits"):
        load(DatasetSpec(name="mnist"), folder=tmp_path, download=True)


def test_an_unknown_dataset_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown dataset 'fashionmnist'\. Did you mean 'fashion_mnist'"):
        data.dataset_of("fashionmnist")
