import pytest
import torch
from pydantic import ValidationError
from small_problems import examples, generator
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.defenses.baselines.gaussian_augmentation import (
    GaussianAugmentationConfig,
    gaussian_loss,
    with_gaussian_noise,
)
from trainables.networks.staged import Staged


class Watched(nn.Module):
    """Flattens, and keeps the last images that it saw."""

    def forward(self, images):
        self.seen = images
        return images.flatten(1)


def watched():
    stage = Watched()
    return stage, Staged({"watched": stage}, nn.Linear(16, 3), (1, 4, 4)).double()


def test_noise_has_the_standard_deviation_and_the_mean_that_were_asked():
    images = torch.full((200, 1, 28, 28), 0.5)
    noise = with_gaussian_noise(images, 0.05, generator()) - images
    assert noise.std().item() == pytest.approx(0.05, rel=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)


def test_noisy_images_stay_in_0_1_and_reach_both_bounds():
    noisy = with_gaussian_noise(torch.full((4, 1, 28, 28), 0.5), 1.0, generator())
    assert (noisy.min(), noisy.max()) == (0, 1)


def test_noise_depends_on_the_generator_alone():
    images = torch.full((2, 1, 8, 8), 0.5)
    first = with_gaussian_noise(images, 0.1, generator(1))
    torch.rand(3)
    assert torch.equal(with_gaussian_noise(images, 0.1, generator(1)), first)
    assert not torch.equal(with_gaussian_noise(images, 0.1, generator(2)), first)


@pytest.mark.parametrize(
    ("fraction", "noisy"),
    [
        pytest.param(1.0, 10, id="all"),
        pytest.param(0.3, 3, id="some"),
        pytest.param(0.01, 0, id="too few for one"),
    ],
)
def test_the_fraction_of_the_batch_gets_noise_and_the_rest_is_left(fraction, noisy):
    stage, model = watched()
    images, labels = examples(10)
    gaussian_loss(model, images, labels, config=GaussianAugmentationConfig(fraction=fraction), generator=generator())
    changed = (stage.seen != images).flatten(1).any(1)
    assert changed.tolist() == [True] * noisy + [False] * (10 - noisy)


def test_the_loss_is_the_cross_entropy_on_what_was_seen():
    stage, model = watched()
    images, labels = examples(10)
    config = GaussianAugmentationConfig(fraction=0.5, label_smoothing=0.2)
    loss = gaussian_loss(model, images, labels, config=config, generator=generator())
    target = 0.8 * nn.functional.one_hot(labels, 3) + 0.2 / 3
    torch.testing.assert_close(loss, cross_entropy(model(stage.seen), target))


@pytest.mark.parametrize(
    "settings", [{"fraction": 0}, {"fraction": 1.5}, {"sigma": 0}, {"sigma": -1}, {"label_smoothing": 1}], ids=str
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        GaussianAugmentationConfig(**settings)
