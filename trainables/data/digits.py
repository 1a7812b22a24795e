"""scikit-learn's bundled handwritten digits: 1,797 scans, 8x8."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.splits import SPLIT_SEED, Images

DIGITS_SIZE = 28  # what cnn3, made for MNIST, expects


def read_digits(argument: str, *, folder: Path, download: bool) -> tuple[Images, Images]:
    """Scikit-learn's digits, levels 0..16 stretched to 0..255; one in five, chosen once, is the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    images = Images(pixels, digits.target.astype(np.int64))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = len(images) // 5
    return images.take(order[held:]), images.take(order[:held])
