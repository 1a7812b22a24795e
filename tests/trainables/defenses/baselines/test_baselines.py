"""One suite that every baseline passes, at settings under which it learns within seconds."""

import functools

import pytest
import torch
from small_problems import CPU, generator, one_epoch, pixels, same_weights, trained, untrained
from torch.nn.functional import cross_entropy

from trainables.defenses.baselines.embedding_matching import EmbeddingMatching
from trainables.defenses.baselines.feature_squeezing import FeatureSqueezing
from trainables.defenses.baselines.fgsm_training import FgsmTraining
from trainables.defenses.baselines.gaussian_augmentation import GaussianAugmentation
from trainables.defenses.baselines.madry import Madry
from trainables.defenses.baselines.natural import Natural
from trainables.defenses.baselines.trades import Trades
from trainables.defenses.contract import DefenseConfig
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.batches import Batches
from trainables.judges import CLASSIFICATION
from trainables.runtime.modes import held
from trainables.runtime.randomness import current, resumed, seeded
from trainables.runtime.statetree import pack, unpack
from trainables.values import Frozen

PGD = {"eps": 0.02, "steps": 2, "relative_step": 0.7}
BASELINES = {
    "none": (Natural, {}),
    "gaussian_augmentation": (GaussianAugmentation, {"fraction": 0.5}),
    "feature_squeezing": (FeatureSqueezing, {"train_on": "squeezed"}),
    "fgsm_training": (FgsmTraining, {"attack": {"attack": "fgsm", "eps": (0.01, 0.03)}}),
    "madry": (Madry, {"attack": PGD}),
    "trades": (Trades, {"attack": PGD}),
    "embedding_matching": (EmbeddingMatching, {"attack": PGD, "weight": 0.1}),
}

pytestmark = pytest.mark.slow  # the suite of every defense asks most of this of them

every_baseline = pytest.mark.parametrize("name", BASELINES)


@pytest.fixture(scope="module")
def learnt(digits):
    """Train a baseline well, once; the run is shared and not to be changed."""

    @functools.cache
    def train(name):
        defense, settings = BASELINES[name]
        return trained(defense, digits, count=None, epochs=4, width=8, **settings)

    return train


@every_baseline
def test_its_name_and_default_view_are_its_own_and_settings_are_frozen_values(name):
    defense, _ = BASELINES[name]
    assert defense.Config().name == name
    assert issubclass(defense.Config, DefenseConfig)
    assert isinstance(defense.Inference(), Frozen)
    assert "default" in defense.views


@every_baseline
def test_it_learns_the_digits(name, learnt, digits):
    """Four epochs of width 8 give .87 to .96; chance is .1."""
    defense, history = learnt(name)
    assert evaluate_clean(defense.model, *pixels(digits.test), judge=CLASSIFICATION).correct.mean() > 0.8
    assert history[-1]["loss"] < history[0]["loss"]


@every_baseline
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_stopped_after_any_epoch_it_goes_on_bit_for_bit(name, stop, digits):
    defense, settings = BASELINES[name]
    whole, history = trained(defense, digits, count=130, epochs=3, **settings)
    with seeded(0, CPU):
        first, optimisation = untrained(defense, digits, epochs=3, **settings)
        order = generator()
        done = [one_epoch(first, Batches(*pixels(digits.train, 130), optimisation, order)) for _ in range(stop)]
        rng = current(CPU)
    state = unpack(*pack(first.state_dict()))
    rest, _ = untrained(defense, digits, epochs=3, **settings)
    rest.load_state_dict(state)
    with resumed(rng, CPU):
        after = [one_epoch(rest, Batches(*pixels(digits.train, 130), optimisation, order)) for _ in range(3 - stop)]
    assert same_weights(rest, whole)
    assert done + after == history


@every_baseline
def test_the_weights_alone_give_the_same_logits_in_a_new_defense(name, learnt, digits):
    defense, settings = BASELINES[name]
    run, _ = learnt(name)
    fresh, _ = untrained(defense, digits, width=8, **settings)
    fresh.model.load_state_dict(run.model.state_dict())
    images = pixels(digits.test, 20)[0] / 255
    for view in sorted(run.views):
        with held(run.view(view), fresh.view(view)):
            assert torch.equal(fresh.view(view)(images), run.view(view)(images))


@every_baseline
def test_every_view_has_finite_input_gradients_that_do_not_vanish(name, learnt, digits):
    defense, _ = learnt(name)
    images, labels = pixels(digits.test, 32)
    for view in sorted(defense.views):
        model, point = defense.view(view), (images / 255).requires_grad_()
        with held(model):
            (gradient,) = torch.autograd.grad(cross_entropy(model(point), labels, reduction="sum"), point)
        assert gradient.isfinite().all()
        assert gradient.flatten(1).norm(dim=1).min() > 1e-6


@every_baseline
def test_no_sample_crosses_the_batch_in_evaluation(name, learnt, digits):
    defense, _ = learnt(name)
    images = pixels(digits.test, 12)[0] / 255
    for model in [defense.model, *map(defense.view, sorted(defense.views))]:
        with held(model), torch.no_grad():
            alone = torch.cat([model(image[None]) for image in images])
            torch.testing.assert_close(model(images), alone, atol=1e-5, rtol=1e-5)


@every_baseline
def test_the_loss_is_affine_in_the_smoothing_of_the_labels(name, digits):
    """Of the first weights, which one batch reports: CE with s is (1 - s) CE + s U, and the attack sees hard labels."""
    defense, settings = BASELINES[name]
    hard, middle, soft = (
        trained(defense, digits, count=64, epochs=1, label_smoothing=s, **settings)[1][0]["loss"] for s in (0, 0.4, 0.8)
    )
    assert abs(hard - soft) > 1e-4
    assert middle == pytest.approx((hard + soft) / 2, abs=1e-6)
