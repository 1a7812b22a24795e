import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_tables import IMAGE, folder_of, noise, png, read, rows, same, write_table
from PIL import Image

from trainables.data.datasets import resolve
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images
from trainables.errors import InputError


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
    with pytest.raises(InputError, match=r"absent' must be a folder, and it does not exist: give one that holds"):
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
