"""A dataset: the bundled digits, and how much ink each has, in [0, 1]."""

import numpy as np

from trainables.data import Dataset, Images
from trainables.data.digits import read_digits


def _read(argument, *, folder, download):
    train, test = read_digits(argument, folder=folder, download=download)
    return _with_ink(train), _with_ink(test)


def _with_ink(images):
    return Images(images.pixels, (images.pixels.mean((1, 2, 3)) / 255).astype(np.float32))


INK = Dataset(_read, judge="tolerance")
