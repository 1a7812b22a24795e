import numpy as np


def test_digits_are_28x28_grey_bytes_of_ten_classes(digits):
    assert (digits.shape, digits.outputs) == ((1, 28, 28), 10)
    for part in (digits.train, digits.validation, digits.test):
        assert part.pixels.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.pixels.shape == (len(part), 1, 28, 28)
        assert part.pixels.max() == 255
        assert part.pixels.min() == 0
