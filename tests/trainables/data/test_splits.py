import numpy as np
import pytest
from image_tables import read, rows, same, write_table
from PIL import Image
from sklearn.datasets import load_digits

from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images


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
