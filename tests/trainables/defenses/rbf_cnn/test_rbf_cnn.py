"""rbf_cnn as a defense: its views and noise, rCNN+'s noisy batches, training, resuming and reloading."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from trainables.defenses.rbf_cnn.defense import (
    PlusConfig,
    RbfCnn,
    RbfCnnConfig,
    RbfCnnInference,
    adversarial_noise,
    with_noise,
)
from trainables.defenses.rbf_cnn.filter_bank import EmConfig, assembled
from trainables.errors import InputError
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task
from trainables.judges import CLASSIFICATION
from trainables.networks.spec import NetworkSpec
from trainables.runtime.modes import held
from trainables.runtime.randomness import seeded
from trainables.runtime.statetree import pack, unpack

CPU = torch.device("cpu")
EM = EmConfig(m_steps=150, creation_m_steps=120)
FEW_STEPS = EmConfig(m_steps=60, k_star=4)
PLUS = PlusConfig(made_after_epoch=1, noises=20, attack={"eps": 0.3, "steps": 2})
STILL = {"max_rotation": 0, "max_shift": 0, "mirror": False}


def defense(config, *, width=4, epochs=4, **optimisation):
    task = Task((1, 28, 28), 10, NetworkSpec(width=width), OptimisationSpec(**optimisation), epochs, CPU)
    with seeded(0, CPU):
        return RbfCnn(config, task)


def batches_of(digits, images=None, **optimisation):
    pixels, labels = torch.from_numpy(digits.train.pixels)[:images], torch.from_numpy(digits.train.labels)[:images]
    return Batches(pixels, labels, OptimisationSpec(**optimisation), torch.Generator().manual_seed(0))


def trained_for(made, batches, epochs):
    for _ in range(epochs):
        made.model.train()
        with seeded(1, CPU):
            metrics = made.train_epoch(batches)
    return metrics


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def trained(digits):
    """rCNN after 4 epochs on the digits; not to be changed."""
    made = defense(RbfCnnConfig(em=EM), width=8, lr=5e-3)
    batches = batches_of(digits, batch_size=64)
    made.prepare(batches)
    trained_for(made, batches, 4)
    return made


@pytest.fixture(scope="module")
def images(digits):
    return torch.from_numpy(digits.test.pixels[:12]).float() / 255


@pytest.fixture(scope="module")
def labels(digits):
    return torch.from_numpy(digits.test.labels[:12])


def output(model, images, seed=0):
    with held(model), torch.no_grad(), seeded(seed, CPU):
        return model(images)


def input_gradient(view, images, labels, seed=0):
    images = images.clone().requires_grad_()
    with held(view), seeded(seed, CPU):
        return torch.autograd.grad(cross_entropy(view(images), labels, reduction="sum"), images)[0]


def test_it_learns_the_digits(trained, digits):
    """Chance is .1."""
    test = torch.from_numpy(digits.test.pixels), torch.from_numpy(digits.test.labels)
    assert len(trained.model.bank) >= 4
    for model in (trained.model, trained.view("default")):
        with seeded(0, CPU):
            assert evaluate_clean(model, *test, judge=CLASSIFICATION).correct.mean() > 0.8


@pytest.mark.parametrize("view", ["default", "static", "bpda"])
def test_every_view_has_finite_input_gradients_that_do_not_vanish(trained, images, labels, view):
    gradient = input_gradient(trained.view(view), images, labels)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).norm(dim=1).min() > 1e-6


@pytest.mark.parametrize("view", ["default", "static", "bpda"])
def test_no_sample_looks_across_the_batch(trained, images, view):
    """Noise is drawn for the filters, so under one seed an image alone meets the noise that it meets in a batch."""
    model = trained.view(view)
    alone = torch.cat([output(model, image[None]) for image in images])
    torch.testing.assert_close(output(model, images), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("view", ["default", "bpda"])
def test_noisy_views_draw_anew_at_every_call_unless_beta2_is_0(trained, images, view):
    noisy, quiet = trained.view(view), trained.view(view, RbfCnnInference(beta2=0))
    assert not torch.equal(output(noisy, images, seed=0), output(noisy, images, seed=1))
    assert torch.equal(output(quiet, images, seed=0), output(quiet, images, seed=1))


def test_without_noise_every_view_predicts_as_the_model_in_evaluation(trained, images):
    expected = output(trained.model, images)
    quiet = RbfCnnInference(beta2=0)
    assert torch.equal(output(trained.view("static"), images), expected)
    assert torch.equal(output(trained.view("bpda", quiet), images), expected)
    torch.testing.assert_close(output(trained.view("default", quiet), images), log_softmax(expected, 1))


def passes(trained, images, inference, seed):
    """The logits of `inference.passes` noisy passes, [m, B, K], each reconstruction written out."""
    bank, found = trained.model.bank, []
    with seeded(seed, CPU), held(trained.model), torch.no_grad():
        weights = bank.weights(images, inference.test_beta1)
        for _ in range(inference.passes):
            spread = bank.sigma2 if inference.noise_scale == "variance" else bank.sigma2.sqrt()
            mu = bank.mu + inference.beta2 * spread[:, None] * torch.randn(bank.mu.shape)
            total = torch.nn.functional.fold(mu.T @ weights, (28, 28), 3)
            count = torch.nn.functional.fold(torch.ones(1, 9, 26 * 26), (28, 28), 3)
            found.append(trained.model.classifier((total / count).clamp(0, 1)))
    return torch.stack(found)


@pytest.mark.parametrize("scale", ["variance", "std"])
def test_default_is_the_log_of_the_mean_softmax_over_the_passes(trained, images, scale):
    inference = RbfCnnInference(passes=4, noise_scale=scale, test_beta1=17.3)
    logits = output(trained.view("default", inference), images, seed=3)
    mean = passes(trained, images, inference, seed=3).softmax(2).mean(0)
    torch.testing.assert_close(logits.exp(), mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(12))


def test_bpda_answers_with_one_noisy_pass(trained, images):
    view = trained.view("bpda", RbfCnnInference(passes=4))
    expected = passes(trained, images, RbfCnnInference(passes=1), seed=5)[0]
    torch.testing.assert_close(output(view, images, seed=5), expected)


@pytest.mark.parametrize(("view", "forward", "backward"), [
    ("static", "quiet", "quiet"), ("bpda", "noisy", "quiet"), ("default", "noisy", "noisy"),
])  # fmt: skip
def test_gradients_pass_the_clip_and_in_bpda_miss_the_noise(trained, images, labels, view, forward, backward):
    """J^T g: g of the classifier at the clipped R of the forward pass, J of the unclipped R of the backward pass.

    With beta2 = 20 noise puts more than a tenth of R on the bounds, where torch's clamp has no gradient.
    """
    bank, inference = trained.model.bank, RbfCnnInference(passes=1, beta2=20.0)
    at = images.clone().requires_grad_()
    with seeded(5, CPU), held(trained.model):
        weights = bank.weights(at, 25.0)
        mu = {"quiet": bank.mu, "noisy": bank.noisy_mu(20.0, "variance")}
        rebuilt = {kind: assembled(weights, mu[kind], (28, 28)) for kind in mu}
        clipped = rebuilt[forward].detach().clamp(0, 1).requires_grad_()
        loss = cross_entropy(trained.model.classifier(clipped), labels, reduction="sum")
        (outer,) = torch.autograd.grad(loss, clipped)
        (expected,) = torch.autograd.grad(rebuilt[backward], at, outer)
    if forward == "noisy":
        assert ((clipped == 0) | (clipped == 1)).float().mean() > 0.1
    found = input_gradient(trained.view(view, inference), images, labels, seed=5)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_the_classifier_meets_images_in_range(trained, images):
    """Whatever the noise."""
    seen = []
    hook = trained.model.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for view in sorted(RbfCnn.views):
        output(trained.view(view, RbfCnnInference(beta2=20.0, passes=2)), images)
    hook.remove()
    assert len(seen) == 4
    assert all(0 <= each.min() <= each.max() <= 1 for each in seen)


def test_training_uses_no_noise_and_its_own_beta1(trained, images):
    trained.model.train()
    with torch.no_grad():
        expected = trained.model.classifier(trained.model.bank.reconstructed(images, 125 * math.log(2)))
        assert torch.equal(trained.model(images), expected)
        assert torch.equal(trained.model(images), expected)
    trained.model.eval()
    assert not torch.equal(output(trained.model, images), expected)


def test_the_loss_is_cross_entropy_with_labels_of_nine_tenths_and_one_ninetieth(digits):
    made = defense(RbfCnnConfig(em=FEW_STEPS), batch_size=64)
    batches = batches_of(digits, 64, batch_size=64)
    made.prepare(batches)
    pixels, labels = batches.pixels.float() / 255, batches.labels
    targets = torch.full((64, 10), 0.1 / 9)
    targets[torch.arange(64), labels] = 0.9
    made.model.train()
    expected = -(targets * log_softmax(made.model(pixels), 1)).sum(1).mean().item()
    assert made.train_epoch(batches)["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_checkpoint_alone_gives_the_logits_back(trained, images):
    """The number of filters comes from the state, not from the spec."""
    fresh = defense(RbfCnnConfig(em=EM), width=8)
    fresh.model.load_state_dict(unpack(*pack(trained.model.state_dict())))
    assert torch.equal(output(fresh.model, images), output(trained.model, images))
    for view in RbfCnn.views:
        assert torch.equal(output(fresh.view(view), images), output(trained.view(view), images))


@pytest.mark.parametrize("plus", [None, PLUS], ids=["rCNN", "rCNN+"])
@pytest.mark.parametrize("stop", [1, 2])
def test_stopped_and_resumed_it_goes_on_bit_for_bit(digits, plus, stop):
    """For rCNN+ the fixed noise is made in the second epoch: before the stop, or after it."""
    config = RbfCnnConfig(em=FEW_STEPS, plus=plus)

    def prepared():
        made, batches = defense(config, epochs=3, batch_size=32), batches_of(digits, 96, batch_size=32)
        made.prepare(batches)
        return made, batches

    (whole, whole_batches), (first, first_batches) = prepared(), prepared()
    trained_for(whole, whole_batches, 3)
    trained_for(first, first_batches, stop)
    state, order = unpack(*pack(first.state_dict())), first_batches.generator.get_state()
    rest, rest_batches = defense(config, epochs=3, batch_size=32), batches_of(digits, 96, batch_size=32)
    rest.load_state_dict(state)
    rest_batches.generator.set_state(order)
    trained_for(rest, rest_batches, 3 - stop)
    expected, found = (made.model.state_dict() for made in (whole, rest))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_batch_of_188_is_128_clean_30_adversarial_and_30_gaussian():
    """Constant images and noise show which is which."""
    images = torch.full((188, 1, 8, 8), 0.5)
    noise = torch.full((5, 1, 8, 8), 0.25)
    found = with_noise(images, noise, PlusConfig(**STILL), generator())
    assert torch.equal(found[:128], images[:128])
    torch.testing.assert_close(found[128:158], torch.full((30, 1, 8, 8), 0.75))
    gaussian = found[158:] - 0.5
    assert gaussian.abs().max() == pytest.approx(0.3)
    assert (gaussian.abs() < 0.2).float().mean() == pytest.approx(math.erf(0.2 / 0.35 / math.sqrt(2)), abs=0.03)


def test_without_the_noise_set_the_adversarial_part_is_clean():
    images = torch.full((188, 1, 8, 8), 0.5)
    found = with_noise(images, None, PlusConfig(), generator())
    assert torch.equal(found[:158], images[:158])
    assert not torch.equal(found[158:], images[158:])


@pytest.mark.parametrize("settings", [{}, STILL], ids=["moved", "still"])
def test_noisy_images_stay_in_range_and_in_the_ball(settings):
    images = torch.rand(94, 3, 9, 7, generator=generator(1))
    noise = 0.3 * torch.randn(8, 3, 9, 7, generator=generator(2)).sign()
    found = with_noise(images, noise, PlusConfig(**settings), generator())
    assert 0 <= found.min() <= found.max() <= 1
    assert (found - images).abs().max() <= 0.3 + 1e-6


@pytest.mark.parametrize(
    ("settings", "moved"),
    [
        ({}, lambda noise: [noise]),
        ({"mirror": True}, lambda noise: [noise, noise.flip(2)]),
    ],
    ids=["still", "mirrored"],
)
def test_noise_is_added_as_it_is_or_mirrored(settings, moved):
    noise = 0.1 * torch.rand(1, 1, 6, 6, generator=generator(1))
    found = with_noise(torch.zeros(188, 1, 6, 6), noise, PlusConfig(**(STILL | settings)), generator())[128:158]
    kinds = moved(noise[0])
    matches = torch.stack([(found - kind).abs().amax((1, 2, 3)) < 1e-6 for kind in kinds])
    assert matches.any(0).all()
    assert matches.any(1).all()


def test_shifts_reach_a_quarter_of_a_side_and_no_farther():
    """A vertical line in the middle of 41 columns moves by at most 10.25 of them."""
    noise = torch.zeros(1, 1, 41, 41)
    noise[..., 20] = 0.3
    plus = PlusConfig(**(STILL | {"max_shift": 0.25}))
    found = with_noise(torch.zeros(1880, 1, 41, 41), noise, plus, generator())[1280:1580]
    lines = found.sum(2)[:, 0]
    centres = (lines * torch.arange(41)).sum(1) / lines.sum(1)
    assert (centres - 20).abs().max() <= 10.3
    assert (centres - 20).abs().max() > 9
    assert (centres < 15).any()
    assert (centres > 25).any()


def test_rotations_reach_25_degrees_and_no_farther():
    """The angle of a horizontal bar, from its second moments."""
    noise = torch.zeros(1, 1, 41, 41)
    noise[:, :, 20, 8:33] = 0.3
    plus = PlusConfig(**(STILL | {"max_rotation": 25}))
    found = with_noise(torch.zeros(1880, 1, 41, 41), noise, plus, generator())[1280:1580, 0]
    at = torch.arange(41) - 20.0
    cross = (found * at[:, None] * at[None]).sum((1, 2))
    spread = (found * (at[None].square() - at[:, None].square())).sum((1, 2))
    angles = torch.rad2deg(torch.atan2(2 * cross, spread) / 2)
    assert angles.abs().max() <= 25.5
    assert angles.max() > 22
    assert angles.min() < -22


def test_adversarial_noise_raises_the_loss_on_its_images_and_leaves_the_model_alone(trained, digits):
    batches = batches_of(digits, 40, batch_size=16)
    before = [tensor.clone() for tensor in trained.model.state_dict().values()]
    plus = PlusConfig(noises=100, attack={"eps": 0.3, "steps": 5})
    noise = adversarial_noise(trained.model, batches, plus)
    assert noise.shape == (40, 1, 28, 28)
    assert noise.abs().max() <= 0.3 + 1e-6
    order = torch.randperm(40, generator=generator())
    clean = batches.pixels[order].float() / 255
    losses = [cross_entropy(output(trained.model, x), batches.labels[order]) for x in (clean, clean + noise)]
    assert losses[1] > losses[0] + 1
    assert all(torch.equal(a, b) for a, b in zip(before, trained.model.state_dict().values(), strict=True))
    assert len(adversarial_noise(trained.model, batches, PLUS)) == 20


def test_the_noise_set_is_made_once_after_its_epoch(digits):
    made, batches = defense(RbfCnnConfig(em=FEW_STEPS, plus=PLUS), batch_size=32), batches_of(digits, 64, batch_size=32)
    made.prepare(batches)
    sets = []
    for _ in range(3):
        trained_for(made, batches, 1)
        sets.append(made.state_dict()["noise"])
    assert sets[0] is None
    assert sets[1].shape == (20, 1, 28, 28)
    assert torch.equal(sets[2], sets[1])


def test_noise_after_the_last_epoch_is_an_error():
    with pytest.raises(InputError, match=r"plus\.made_after_epoch must be below epochs, got 25 with epochs=4"):
        defense(RbfCnnConfig(plus=PlusConfig()))


def test_an_unknown_view_names_the_known_ones(trained):
    with pytest.raises(InputError, match=r"unknown view 'statik'\. Did you mean 'static'"):
        trained.view("statik")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=["grey 28", "RGB 32"])
def test_it_is_built_for_the_shape_and_the_classes_of_the_data(shape):
    task = Task(shape, 7, NetworkSpec(width=3), OptimisationSpec(), 1, CPU)
    assert RbfCnn(RbfCnnConfig(), task).model(torch.rand(2, *shape)).shape == (2, 7)
