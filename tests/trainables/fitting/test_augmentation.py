import itertools
import math

import pytest
import torch
from torch import nn

from trainables.fitting.augmentation import AUGMENTATIONS, CROP_PADDING
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmented_batches_depend_on_the_generator_alone(name):
    def drawn():
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (9, 3, 6, 5), generator=generator, dtype=torch.uint8)
        spec = OptimisationSpec(augmentation=(name,), batch_size=4)
        return torch.cat([images for images, _ in Batches(pixels, torch.arange(9), spec, generator)])

    first = drawn()
    torch.rand(3)
    assert torch.equal(drawn(), first)


def windows(image):
    """Return all that a crop of a padded image can be."""
    _, height, width = image.shape
    padded = nn.functional.pad(image, [CROP_PADDING] * 4)
    offsets = range(2 * CROP_PADDING + 1)
    return [padded[:, y : y + height, x : x + width] for y, x in itertools.product(offsets, offsets)]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        pytest.param("flip", lambda image: [image, image.flip(2)], id="flip"),
        pytest.param("crop", windows, id="crop"),
    ],
)
def test_augmentation_draws_each_of_its_choices_equally_often(name, choices):
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(1, 256, (2, 6, 5), generator=generator, dtype=torch.uint8)
    possible = torch.stack(choices(image))
    draws = 200 * len(possible)
    augmented = AUGMENTATIONS[name](image.expand(draws, -1, -1, -1), generator)
    matches = (augmented[:, None] == possible).flatten(2).all(2)
    assert matches.sum(1).eq(1).all()
    deviation = (matches.sum(0) - 200) / math.sqrt(200)
    assert deviation.abs().max() < 4.5


def test_augmentation_treats_each_image_by_itself():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 8, 8), generator=generator, dtype=torch.uint8)
    flipped = AUGMENTATIONS["flip"](images, generator)
    chosen = (flipped != images).flatten(1).any(1)
    assert 0 < chosen.sum() < 64
    assert torch.equal(flipped, torch.where(chosen[:, None, None, None], images.flip(3), images))
