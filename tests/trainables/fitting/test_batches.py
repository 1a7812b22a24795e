import pytest
import torch

from trainables.errors import InputError
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec


def batches(count=10, *, seed=0, **optimisation):
    """Image i is filled with i and labelled i."""
    pixels = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 1, 4, 4).contiguous()
    generator = torch.Generator().manual_seed(seed)
    return Batches(pixels, torch.arange(count), OptimisationSpec(**optimisation), generator)


def epoch(these):
    return torch.cat([labels for _, labels in these]).tolist()


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
