"""What counts as images, and that values are looked at only where nobody has vouched for them."""

import math

import pytest
import torch
from torch import nn

from trainables.errors import InputError
from trainables.images import ROUNDING, as_float, require_input, require_pixels, require_range, require_shape
from trainables.runtime.modes import held

SHAPE = (1, 2, 2)


def test_uint8_images_become_floats_in_0_1():
    images = as_float(torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8))
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, torch.tensor([[[[0.0, 0.2], [0.4, 1.0]]]]))


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        pytest.param(torch.zeros(3, 1, 2, 2), r"float32 \[3, 1, 2, 2\]", id="floats"),
        pytest.param(torch.zeros(3, 1, 2, 2, dtype=torch.int64), r"int64 \[3, 1, 2, 2\]", id="int64"),
        pytest.param(torch.zeros(3, 2, 2, dtype=torch.uint8), r"uint8 \[3, 2, 2\]", id="no channels"),
    ],
)
@pytest.mark.parametrize("function", [require_pixels, as_float])
def test_other_than_uint8_images_are_refused(function, pixels, got):
    with pytest.raises(InputError, match=rf"images must be uint8 \[N, C, H, W\] in 0\.\.255, got {got}"):
        function(pixels)


@pytest.mark.parametrize("shape", [(1, 2, 2), (2, 2, 2, 2), (2, 1, 2, 3), (4, 1), (2, 1, 1, 2, 2), ()], ids=str)
def test_another_shape_is_refused(shape):
    got = ", ".join(map(str, shape))
    with pytest.raises(InputError, match=rf"images must be \[B, 1, 2, 2\], got \[{got}\]"):
        require_shape(torch.zeros(shape), SHAPE)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_images_in_0_1_is_accepted(count):
    require_shape(torch.rand(count, *SHAPE), SHAPE)
    require_range(torch.rand(count, *SHAPE))


def test_both_bounds_are_in_range_and_so_is_rounding_beyond_them():
    require_range(torch.tensor([0.0, 1.0]))
    require_range(torch.tensor([-ROUNDING / 2, 1 + ROUNDING / 2]))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        pytest.param(-2 * ROUNDING, r"\[-2e-05, 0\.5\]$", id="below"),
        pytest.param(1.5, r"\[0\.5, 1\.5\]$", id="above"),
        pytest.param(255.0, r"\[0\.5, 255\] \(images in \[0, 255\]\? divide by 255\)", id="[0, 255]"),
        pytest.param(math.inf, r"\[0\.5, inf\]", id="infinite"),
        pytest.param(math.nan, r"\[nan, nan\]", id="not a number"),
    ],
)
def test_one_value_out_of_range_is_refused(value, got):
    with pytest.raises(InputError, match=rf"images must be in \[0, 1\], got {got}"):
        require_range(torch.tensor([0.5, value, 0.5]))


def test_integers_are_not_taken_for_images_in_0_1():
    with pytest.raises(InputError, match=r"images must be floats in \[0, 1\], got uint8 \[1, 1, 2, 2\] .*by 255"):
        require_input(nn.Linear(1, 1), torch.zeros(1, *SHAPE, dtype=torch.uint8), SHAPE)


def test_a_model_looks_at_values_unless_it_is_in_training_or_frozen():
    model, outside = nn.Linear(1, 1), torch.full((1, *SHAPE), 3.0)
    require_input(model.train(), outside, SHAPE)
    with held(model):
        require_input(model, outside, SHAPE)
    with pytest.raises(InputError, match=r"images must be in \[0, 1\], got \[3, 3\]"):
        require_input(model.eval(), outside, SHAPE)
