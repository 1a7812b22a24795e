"""The three steps of afd, each by itself, and the training that they make up, on the digits."""

import json
import math

import pytest
import torch
from small_problems import equal, weights
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.defenses.afd.defense import Afd, AfdConfig
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.adversarial import perturbed
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task
from trainables.judges import CLASSIFICATION
from trainables.networks.spec import NetworkSpec
from trainables.networks.staged import Staged
from trainables.runtime.modes import held
from trainables.runtime.randomness import seeded
from trainables.runtime.statetree import pack, unpack

CPU = torch.device("cpu")
OPTIMISATION = OptimisationSpec(lr=5e-3, batch_size=64)
QUICK = {"attack": "pgd", "eps": 0.1, "steps": 2}
GAN = ("softplus", "wgan", "hinge")


def built(*, epochs=2, width=4, optimisation=OPTIMISATION, **settings):
    task = Task((1, 28, 28), 10, NetworkSpec(width=width), optimisation, epochs, CPU)
    with seeded(0, CPU):
        return Afd(AfdConfig(**({"adversarial": QUICK} | settings)), task)


def with_batchnorm(**settings):
    """A defense whose encoder has a BatchNorm, whose statistics a test may read."""
    defense = built(**settings)
    stages = {"only": nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.BatchNorm1d(49))}
    defense.model = Staged(stages, nn.Linear(49, 10), (1, 28, 28))
    return defense.model.stages["only"][2], defense


def few(digits, count=192, seed=0):
    pixels, labels = (torch.from_numpy(array[:count]) for array in (digits.train.pixels, digits.train.labels))
    return Batches(pixels, labels, OPTIMISATION, torch.Generator().manual_seed(seed))


def train(defense, batches, epochs):
    defense.model.train()
    return [defense.train_epoch(batches) for _ in range(epochs)]


def players(defense):
    """theta, phi and psi, the last with the spectral norms' vectors."""
    return {
        "theta": weights(defense.model.stages),
        "phi": weights(defense.model.head),
        "psi": weights(defense.discriminator),
    }


def moved(defense, step):
    before = players(defense)
    step()
    after = players(defense)
    return {name for name in before if not equal(before[name], after[name])}


@pytest.fixture
def batch(digits):
    return next(iter(few(digits)))


@pytest.fixture(scope="module")
def trained(digits):
    defense = built(epochs=3, width=8)
    return defense, train(defense, few(digits, None), 3)


# --- the three steps


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("gan_loss", GAN)
def test_each_step_moves_its_own_player_only(gan_loss, joint, batch):
    defense = built(gan_loss=gan_loss, joint_batchnorm=joint)
    images, labels = batch
    clean, attacked = defense.embed(images, images.roll(1, 2))
    assert moved(defense, lambda: defense.discriminate(clean, attacked, labels)) == {"psi"}
    assert moved(defense, lambda: defense.desensitize(attacked, labels)) == {"theta"}
    loss = cross_entropy(defense.model(images), labels)
    assert moved(defense, lambda: defense.theta_phi.step(loss)) == {"theta", "phi"}


def test_step_2_does_not_go_back_through_the_encoder(batch):
    defense = built()
    images, labels = batch
    seen = []
    clean, attacked = defense.embed(images, images.roll(1, 2))
    attacked.register_hook(seen.append)
    assert not clean.requires_grad
    defense.discriminate(clean, attacked, labels)
    assert not seen
    defense.desensitize(attacked, labels)
    assert len(seen) == 1


@pytest.mark.parametrize("gan_loss", GAN)
def test_steps_2_and_3_take_gradient_steps_of_their_players_losses(gan_loss, batch):
    """Plain SGD without momentum: the step is lr times the gradient, computed anew here by autograd."""
    optimisation = OptimisationSpec(optimizer="sgd", lr=0.01, momentum=0.0)
    defense = built(gan_loss=gan_loss, optimisation=optimisation, relative_discriminator_lr=3.0)
    defense.discriminator.eval()
    images, labels = batch
    clean, attacked = defense.embed(images, images.roll(1, 2))
    gan, psi, theta = defense._gan, list(defense.discriminator.parameters()), list(defense.model.stages.parameters())
    loss = gan.discriminator(defense.discriminator(clean, labels), defense.discriminator(attacked.detach(), labels))
    expected = [p - 0.03 * g for p, g in zip(psi, torch.autograd.grad(loss, psi), strict=True)]
    torch.testing.assert_close(defense.discriminate(clean, attacked, labels), loss.detach())
    torch.testing.assert_close(psi, expected)
    loss = gan.encoder(defense.discriminator(attacked, labels))
    gradients = torch.autograd.grad(loss, theta, retain_graph=True)
    expected = [p - 0.05 * g for p, g in zip(theta, gradients, strict=True)]
    torch.testing.assert_close(defense.desensitize(attacked, labels), loss.detach())
    torch.testing.assert_close(theta, expected)


def test_the_steps_of_a_batch_are_taken_in_the_papers_order(batch):
    """Step 1 sees the untrained model, step 2 the model after it, step 3 the discriminator after step 2."""
    images, labels = batch
    whole, apart = built(), built()
    losses = whole.play(images, labels, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    attacked = perturbed(apart.model, images, labels, apart.config.adversarial, generator)
    first = apart.theta_phi.step(cross_entropy(apart.model(images), labels))
    features = apart.model.embed(images), apart.model.embed(attacked)
    second = apart.discriminate(*features, labels)
    third = apart.desensitize(apart.model.embed(attacked), labels)
    torch.testing.assert_close(losses, [first, second, third])
    for name, player in players(whole).items():
        torch.testing.assert_close(player, players(apart)[name])


@pytest.mark.parametrize("same", ["eps to 0", "a constant encoder"])
def test_features_that_cannot_be_told_apart_cost_the_discriminator_at_least_2_ln_2(same, digits):
    """S(-a) + S(a) >= 2 ln 2, with equality at a = 0 alone: no discriminator does better than chance."""
    defense = built(adversarial=QUICK | {"eps": 1e-9 if same == "eps to 0" else 0.3})
    if same == "a constant encoder":
        for parameter in defense.model.stages.parameters():
            nn.init.zeros_(parameter)
        images, labels = next(iter(few(digits)))
        losses = [defense.discriminate(*defense.embed(images, 1 - images), labels).item() for _ in range(20)]
    else:
        defense.theta.optimizer.param_groups[0]["lr"] = 0.0
        losses = [metrics["discriminator_loss"] for metrics in train(defense, few(digits), 2)]
    assert min(losses) >= 2 * math.log(2) - 1e-6


def test_a_discriminator_of_0_costs_2_ln_2(batch):
    images, labels = batch
    defense = built()
    defense.discriminator.output = nn.Linear(8, 1)
    defense.discriminator.embedding = nn.Embedding(10, 8)
    for parameter in (*defense.discriminator.output.parameters(), defense.discriminator.embedding.weight):
        nn.init.zeros_(parameter)
    loss = defense.discriminate(*defense.embed(images, 1 - images), labels)
    assert loss.item() == pytest.approx(2 * math.log(2), rel=1e-6)


def test_features_that_differ_are_told_apart(batch):
    """The bound is one of equal features, not of the loss."""
    defense, labels = built(), batch[1]
    features = torch.rand(len(labels), 8)
    losses = [defense.discriminate(features, -features, labels) for _ in range(60)]
    assert losses[-1] < 1.5 * math.log(2)


# --- BatchNorm


@pytest.mark.parametrize("joint", [False, True])
def test_clean_and_attacked_images_share_batch_statistics_only_if_asked_to(joint, batch):
    norm, defense = with_batchnorm(joint_batchnorm=joint)
    images, _ = batch
    dark, bright = defense.embed(images, images / 2 + 0.5)
    # Each half by itself is normalised to mean 0; halves of one batch are told apart by their means.
    assert (dark.mean().abs() > 0.1) == joint
    assert (bright.mean().abs() > 0.1) == joint
    assert norm.num_batches_tracked == (1 if joint else 2)


# --- training


def test_it_learns_the_digits(trained, digits):
    """Three epochs of width 8 give .93; chance is .1."""
    test = torch.from_numpy(digits.test.pixels), torch.from_numpy(digits.test.labels)
    assert evaluate_clean(trained[0].model, *test, judge=CLASSIFICATION).correct.mean() > 0.8


def test_metrics_are_the_three_losses_and_the_lr(trained):
    for metrics in trained[1]:
        assert set(metrics) == {"loss", "discriminator_loss", "encoder_loss", "lr"}
        assert all(math.isfinite(value) for value in metrics.values())
    assert trained[1][-1]["loss"] < trained[1][0]["loss"] / 2


@pytest.mark.parametrize(("optimizer", "encoder"), [("sgd", 5.0), ("adam", 0.5)])
def test_learning_rates_are_multiples_of_the_optimisations_and_share_its_schedule(optimizer, encoder, digits):
    optimisation = OptimisationSpec(optimizer=optimizer, lr=1e-3, schedule="multistep", milestones=(1,), gamma=0.1)
    defense = built(optimisation=optimisation, relative_discriminator_lr=2.0)
    for factor in (1, 0.1):
        lrs = [d.optimizer.param_groups[0]["lr"] for d in (defense.theta_phi, defense.psi, defense.theta)]
        assert lrs == pytest.approx([1e-3 * factor, 2e-3 * factor, encoder * 1e-3 * factor])
        train(defense, few(digits, 32), 1)


def test_the_discriminator_is_as_wide_as_the_embedding_unless_told():
    assert built().discriminator.output.in_features == built().model.head.in_features == 8
    assert built(hidden=5).discriminator.output.in_features == 5


@pytest.mark.parametrize(
    "settings", [{}, {"gan_loss": "hinge", "joint_batchnorm": True}, {"adversarial": {"attack": "fgsm"}}], ids=str
)
def test_stopped_after_an_epoch_it_goes_on_bit_for_bit(settings, digits):
    whole, first, rest = (built(**settings) for _ in range(3))
    history = train(whole, few(digits), 2)
    batches = few(digits)
    train(first, batches, 1)
    tensors, skeleton = pack(first.state_dict())
    rest.load_state_dict(unpack(tensors, json.loads(json.dumps(skeleton))))
    assert train(rest, batches, 1) == history[1:]
    assert all(equal(player, players(whole)[name]) for name, player in players(rest).items())


def test_the_model_alone_gives_back_its_logits_in_a_new_defense(trained, digits):
    fresh = built(epochs=3, width=8)
    fresh.model.load_state_dict(trained[0].model.state_dict())
    images = torch.from_numpy(digits.test.pixels[:20]) / 255
    with held(fresh.model, trained[0].model), torch.no_grad():
        assert torch.equal(fresh.model(images), trained[0].model(images))


def test_the_view_has_finite_input_gradients_that_do_not_vanish(trained, digits):
    images = (torch.from_numpy(digits.test.pixels[:64]) / 255).requires_grad_()
    labels = torch.from_numpy(digits.test.labels[:64])
    assert trained[0].views == {"default"}
    view = trained[0].view("default")
    with held(view):
        (gradient,) = torch.autograd.grad(cross_entropy(view(images), labels, reduction="sum"), images)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).norm(dim=1).min() > 1e-6


def test_no_sample_looks_across_the_batch_in_evaluation(trained, digits):
    images = torch.from_numpy(digits.test.pixels[:6]) / 255
    view = trained[0].view("default")
    with held(view), torch.no_grad():
        alone = torch.cat([view(image[None]) for image in images])
        torch.testing.assert_close(view(images), alone, atol=1e-5, rtol=1e-5)
