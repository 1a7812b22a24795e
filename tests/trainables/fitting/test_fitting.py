import itertools
import math

import pytest
import torch
from torch import nn

from trainables.errors import InputError
from trainables.fitting.augmentation import AUGMENTATIONS, CROP_PADDING
from trainables.fitting.batches import Batches
from trainables.fitting.descent import Descent
from trainables.fitting.optimisation import OptimisationSpec


def batches(count=10, *, seed=0, **optimisation):
    """Image i is filled with i and labelled i."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 4, 4).contiguous()
    generator = torch.Generator().manual_seed(seed)
    return Batches(pixels, torch.arange(count), OptimisationSpec(**optimisation), generator)


def epoch(these):
    return torch.cat([labels for _, labels in these]).tolist()


# --- batches


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        pytest.param(10, 4, [4, 4, 2], id="a smaller last batch"),
        pytest.param(8, 4, [4, 4], id="whole batches"),
        pytest.param(3, 8, [3], id="one batch"),
    ],
)
def test_an_epoch_holds_every_example_once(count, size, sizes):
    these = batches(count, batch_size=size)
    drawn = list(these)
    assert [len(labels) for _, labels in drawn] == sizes
    assert len(these) == len(sizes)
    assert sorted(torch.cat([labels for _, labels in drawn]).tolist()) == list(range(count))


def test_batches_are_images_in_0_1_with_their_own_labels():
    for images, labels in batches(batch_size=4):
        assert images.dtype == torch.float32
        assert torch.equal(images, (labels.float() / 255)[:, None, None, None].expand_as(images))


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        pytest.param(torch.zeros(10, 1, 4, 4), r"float32 \[10, 1, 4, 4\]", id="floats"),
        pytest.param(torch.zeros(10, 4, 4, dtype=torch.uint8), r"uint8 \[10, 4, 4\]", id="no channels"),
    ],
)
def test_other_than_uint8_images_are_refused(pixels, got):
    with pytest.raises(InputError, match=rf"images must be uint8 \[N, C, H, W\] in 0\.\.255, got {got}"):
        Batches(pixels, torch.arange(10), OptimisationSpec(), torch.Generator())


def test_each_epoch_has_a_new_order():
    these = batches(50)
    assert epoch(these) != epoch(these)


def test_the_order_depends_on_the_generator_alone():
    first = epoch(batches(50, seed=1))
    torch.rand(3)
    assert epoch(batches(50, seed=1)) == first
    assert epoch(batches(50, seed=2)) != first


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


# --- descent


class Bowl(nn.Module):
    """loss = |p - 1|^2 / 2, so its gradient is p - 1."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0, -2.0]))
        self.held = nn.Parameter(torch.zeros(1), requires_grad=False)

    def loss(self, images, labels):
        return (self.p - 1).square().sum() / 2


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_takes_the_step_of_the_closed_form(nesterov):
    """Two steps, momentum m, weight decay w: g = (p - 1) + w p, v = m v + g, p = p - lr v, or - lr (m v + g)."""
    bowl, lr, m, w = Bowl(), 0.1, 0.5, 0.01
    expected, velocity, losses = torch.tensor([3.0, -2.0]), 0.0, []
    for _ in range(2):
        losses.append((expected - 1).square().sum() / 2)
        gradient = (expected - 1) + w * expected
        velocity = m * velocity + gradient
        expected = expected - lr * (m * velocity + gradient if nesterov else velocity)
    spec = OptimisationSpec(optimizer="sgd", lr=lr, momentum=m, weight_decay=w, nesterov=nesterov)
    metrics = Descent(bowl.parameters(), spec, 5).epoch([(None, None)] * 2, bowl.loss)
    torch.testing.assert_close(bowl.p.detach(), expected)
    assert metrics == {"loss": pytest.approx(torch.stack(losses).mean().item()), "lr": lr}


def test_the_first_step_of_adam_has_size_lr_in_every_coordinate():
    bowl = Bowl()
    Descent(bowl.parameters(), OptimisationSpec(lr=0.01), 5).epoch([(None, None)], bowl.loss)
    torch.testing.assert_close(bowl.p.detach(), torch.tensor([3.0 - 0.01, -2.0 + 0.01]), atol=1e-6, rtol=0)


def test_parameters_that_need_no_gradient_are_left_alone():
    bowl = Bowl()
    Descent(bowl.parameters(), OptimisationSpec(weight_decay=0.5), 1).epoch([(None, None)], bowl.loss)
    assert bowl.held.item() == 0.0


SCHEDULES = {
    "constant": ({}, [1, 1, 1, 1, 1, 1]),
    "multistep": ({"schedule": "multistep", "milestones": (2, 4), "gamma": 0.1}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
    "cosine": ({"schedule": "cosine"}, [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]),
}


@pytest.mark.parametrize(("settings", "factors"), SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("stop", [None, 1, 3], ids=["in one go", "stopped after 1", "stopped after 3"])
def test_the_schedule_sets_the_lr_of_each_epoch(settings, factors, stop, stored):
    spec = OptimisationSpec(lr=0.05, optimizer="sgd", **settings)
    bowl = Bowl()
    descent, lrs = Descent(bowl.parameters(), spec, 6), []
    for number in range(6):
        if number == stop:
            state = stored(descent.state_dict())
            descent = Descent(bowl.parameters(), spec, 6)
            descent.load_state_dict(state)
        lrs.append(descent.epoch([(None, None)], bowl.loss)["lr"])
    assert lrs == pytest.approx([0.05 * factor for factor in factors])
