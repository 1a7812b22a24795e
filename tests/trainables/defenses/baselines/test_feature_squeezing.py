import numpy as np
import pytest
import scipy.ndimage
import torch
from evaluated import evaluate_attacked
from pydantic import ValidationError
from small_problems import pixels, same_weights, trained, untrained
from torch.nn.functional import cross_entropy

from trainables.attacks.registry import attack_spec
from trainables.defenses.baselines.feature_squeezing import (
    SQUEEZERS,
    FeatureSqueezing,
    FeatureSqueezingInference,
    Squeezer,
    squeeze,
)
from trainables.defenses.baselines.natural import Natural
from trainables.runtime.modes import held


def noise(*shape, seed=0):
    return torch.rand(*(shape or (2, 3, 9, 7)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filtered(images, function):
    """Apply a function of a two-dimensional array to every channel of every image."""
    return torch.from_numpy(np.stack([[function(plane) for plane in image] for image in images.numpy()]))


def inference(**squeezer):
    return FeatureSqueezingInference(squeezer=Squeezer(**squeezer))


@pytest.fixture(scope="module")
def defense(digits):
    return trained(FeatureSqueezing, digits, count=None, epochs=4, width=8)[0]


@pytest.fixture(scope="module")
def images(digits):
    return pixels(digits.test, 40)[0] / 255


# --- the squeezers


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_bit_depth_is_the_nearest_of_its_levels(bits):
    images, levels = noise(), np.linspace(0, 1, 2**bits)
    nearest = levels[np.abs(images.numpy()[..., None] - levels).argmin(-1)]
    squeezed = squeeze(images, Squeezer(name="bit_depth", bits=bits))
    torch.testing.assert_close(squeezed, torch.from_numpy(nearest), rtol=0, atol=1e-15)
    assert len(squeezed.unique()) <= 2**bits


def test_bit_depth_is_the_floor_formula_and_rounds_ties_up():
    squeezed = squeeze(torch.tensor([0.0, 0.49, 0.5, 1.0]).reshape(1, 1, 2, 2), Squeezer(name="bit_depth", bits=1))
    assert squeezed.flatten().tolist() == [0, 0, 1, 1]


def test_eight_bits_leave_an_eight_bit_image_alone():
    images = torch.arange(256).reshape(1, 1, 16, 16) / 255
    assert torch.equal(squeeze(images, Squeezer(name="bit_depth", bits=8)), images)


def test_the_median_is_scipys_with_its_border():
    """Repeating the border pixel is scipy's `reflect` for a window of 3, which Xu et al. use."""
    images = noise()
    expected = filtered(images, lambda plane: scipy.ndimage.median_filter(plane, size=3, mode="reflect"))
    assert torch.equal(squeeze(images, Squeezer(name="median")), expected)


def test_the_median_removes_a_single_pixel():
    images = torch.zeros(1, 1, 5, 5)
    images[0, 0, 2, 2] = 1
    assert squeeze(images, Squeezer(name="median")).abs().max() == 0


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3])
def test_the_gaussian_filter_is_scipys(sigma):
    images = noise(2, 3, 12, 10)
    expected = filtered(images, lambda plane: scipy.ndimage.gaussian_filter(plane, sigma, mode="nearest", truncate=4))
    torch.testing.assert_close(squeeze(images, Squeezer(name="gaussian", sigma=sigma)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SQUEEZERS)
def test_a_squeezer_keeps_shape_and_type_and_bounds_and_constant_images(name):
    images = noise().float()
    squeezed = squeeze(images, Squeezer(name=name))
    assert (squeezed.shape, squeezed.dtype) == (images.shape, images.dtype)
    assert squeezed.min() >= 0
    assert squeezed.max() <= 1 + 1e-6
    black_white = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 5, 6)
    torch.testing.assert_close(squeeze(black_white, Squeezer(name=name)), black_white)


@pytest.mark.parametrize("settings", [{"bits": 0}, {"bits": 9}, {"sigma": 0}, {"name": "jpeg"}], ids=str)
def test_a_squeezer_out_of_range_is_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        Squeezer(**settings)


# --- training


def test_trained_on_clean_images_the_network_is_natural_trainings(digits):
    natural, history = trained(Natural, digits)
    squeezed, same_history = trained(FeatureSqueezing, digits)
    assert same_weights(natural, Named(squeezed.model.network))
    assert same_history == history


class Named:
    """A module where `same_weights` expects a defense."""

    def __init__(self, model):
        self.model = model


def test_trained_on_squeezed_images_it_descends_on_their_cross_entropy(digits):
    """One batch and one step: the loss reported is that of the weights before it."""
    settings = {"squeezer": {"name": "gaussian"}, "train_on": "squeezed"}
    torch.manual_seed(0)
    before, _ = untrained(FeatureSqueezing, digits, **settings)
    _, history = trained(FeatureSqueezing, digits, count=64, epochs=1, **settings)
    images, labels = pixels(digits.train, 64)
    blurred = squeeze(images / 255, Squeezer(name="gaussian"))
    assert history[0]["loss"] == pytest.approx(cross_entropy(before.model.network(blurred), labels).item(), rel=1e-5)


# --- views and inference


@pytest.mark.parametrize("name", SQUEEZERS)
def test_a_view_is_the_network_on_squeezed_images(name, defense, images):
    with held(defense.model):
        expected = defense.model.network(squeeze(images, Squeezer(name=name)))
        for view in ("default", "bpda"):
            assert torch.equal(defense.view(view, inference(name=name))(images), expected)


def test_without_inference_settings_a_view_predicts_as_the_model(defense, images):
    with held(defense.model):
        for settings in (None, FeatureSqueezingInference(), inference(name="median")):
            assert torch.equal(defense.view("default", settings)(images), defense.model(images))


def test_inference_changes_the_logits_and_no_weight(defense, images):
    before = {name: tensor.clone() for name, tensor in defense.model.state_dict().items()}
    with held(defense.model):
        logits = [defense.view("default", inference(name=name))(images) for name in SQUEEZERS]
    assert all(not torch.equal(a, b) for i, a in enumerate(logits) for b in logits[:i])
    assert all(torch.equal(before[name], tensor) for name, tensor in defense.model.state_dict().items())


@pytest.mark.parametrize("name", SQUEEZERS)
def test_the_bpda_gradient_is_the_identitys(name, defense, images):
    labels = torch.zeros(len(images), dtype=torch.long)

    def gradient(model, at):
        point = at.clone().requires_grad_()
        with held(model):
            return torch.autograd.grad(cross_entropy(model(point), labels), point)[0]

    squeezed = squeeze(images, Squeezer(name=name))
    through = gradient(defense.view("bpda", inference(name=name)), images)
    assert torch.equal(through, gradient(defense.model.network, squeezed))
    assert through.abs().max() > 0


def test_bit_depth_hides_the_gradient_and_bpda_finds_the_examples(defense, digits):
    """FGSM changes nothing through the rounding, and loses the model more than 20 points of accuracy around it."""
    settings = inference(name="bit_depth", bits=3)
    model, attack = defense.view("default", settings), attack_spec({"name": "fgsm", "eps": [0.1]})
    accuracy = {}
    for view in ("default", "bpda"):
        seen = defense.view(view, settings)
        outcome = evaluate_attacked(model, seen, *pixels(digits.test, 100), attack=attack, seed=0)[0]
        accuracy[view] = outcome.correct.mean()
        if view == "default":
            assert outcome.distance.max() == 0
    assert accuracy["bpda"] < accuracy["default"] - 0.2
