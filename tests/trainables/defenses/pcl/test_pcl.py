"""The two stages, the layers and the views of pcl on the digits."""

import json

import pytest
import torch
from small_problems import equal, weights
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.attacks.ascent import ascend
from trainables.attacks.norms import NORMS
from trainables.defenses.baselines.natural import Natural, NaturalConfig
from trainables.defenses.pcl.defense import JointLossView, Pcl, PclConfig, pooled, supervised
from trainables.defenses.pcl.prototype_loss import joint_logits, joint_loss
from trainables.errors import InputError
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
ATTACKED = {"attack": "fgsm", "eps": (0.05, 0.2)}
PER_EXAMPLE = ("pcl", "center", "softmax")
SUPERVISIONS = (*PER_EXAMPLE, "contrastive", "triplet")


def built(defense=Pcl, *, epochs=3, width=4, optimisation=OPTIMISATION, **settings):
    config = (PclConfig if defense is Pcl else NaturalConfig)(**settings)
    task = Task((1, 28, 28), 10, NetworkSpec(width=width), optimisation, epochs, CPU)
    with seeded(0, CPU):
        return defense(config, task)


def few(digits, count=192, seed=0, optimisation=OPTIMISATION):
    pixels, labels = (torch.from_numpy(array[:count]) for array in (digits.train.pixels, digits.train.labels))
    return Batches(pixels, labels, optimisation, torch.Generator().manual_seed(seed))


def train(defense, batches, epochs):
    defense.model.train()
    return [defense.train_epoch(batches) for _ in range(epochs)]


def prototypes(defense):
    return {name: tensor for name, tensor in weights(defense.model).items() if name.endswith(".w")}


@pytest.fixture(scope="module")
def trained(digits):
    defense = built(epochs=4, width=8)
    train(defense, few(digits, None), 4)
    return defense


@pytest.fixture(scope="module")
def test_images(digits):
    return torch.from_numpy(digits.test.pixels), torch.from_numpy(digits.test.labels)


# --- training


def test_it_learns_the_digits(trained, test_images):
    """Four epochs of width 8 give .96; chance is .1."""
    assert evaluate_clean(trained.model, *test_images, judge=CLASSIFICATION).correct.mean() > 0.9


@pytest.mark.parametrize("settings", [{"tau": 0.0}, {"layers": ()}, {"pull_weight": 0.0, "push_weight": 0.0}], ids=str)
def test_weight_0_is_cross_entropy_training_bit_for_bit(settings, digits):
    ours, plain = built(warmup_epochs=1, **settings), built(Natural)
    histories = [train(defense, few(digits), 3) for defense in (ours, plain)]
    assert equal(weights(ours.model.network), weights(plain.model))
    assert histories[0] == histories[1]
    supervised = built(warmup_epochs=1)
    train(supervised, few(digits), 3)
    assert not equal(weights(supervised.model.network), weights(plain.model))


def test_the_warm_up_trains_on_cross_entropy_alone_and_the_next_epoch_on_both(digits):
    ours, plain = built(warmup_epochs=2), built(Natural)
    for epoch in range(3):
        train(ours, few(digits, seed=epoch), 1)
        train(plain, few(digits, seed=epoch), 1)
        assert equal(weights(ours.model.network), weights(plain.model)) == (epoch < 2)


@pytest.mark.parametrize("follow", [True, False])
def test_prototypes_follow_the_warm_up_only_if_asked_to(follow, digits):
    defense = built(warmup_epochs=1, follow_in_warmup=follow)
    before = prototypes(defense)
    train(defense, few(digits), 1)
    assert equal(prototypes(defense), before) != follow


@pytest.mark.parametrize(("epochs", "warmup"), [(3, 0), (7, 1), (350, 50)])
def test_the_warm_up_is_a_seventh_of_the_epochs_unless_given(epochs, warmup, digits):
    follows = {"follow_in_warmup": False}
    defense = built(epochs=epochs, **follows)
    before, still = prototypes(defense), 0
    batches = few(digits, 8)
    while equal(prototypes(defense), before):
        train(defense, batches, 1)
        still += 1
    assert still == warmup + 1


@pytest.mark.parametrize("supervision", SUPERVISIONS)
def test_every_supervision_changes_the_layers_below_it_and_stays_finite(supervision, digits):
    ours, plain = built(supervision=supervision, tau=0.1), built(Natural)
    history = train(ours, few(digits), 3)
    train(plain, few(digits), 3)
    assert all(torch.tensor(metrics["loss"]).isfinite() for metrics in history)
    ours, plain = weights(ours.model.network), weights(plain.model)
    assert not torch.equal(ours["stages.conv1.0.weight"], plain["stages.conv1.0.weight"])


def test_the_papers_loss_stays_above_the_bound_of_its_cap(digits):
    """Three layers, one push and one separation of at most (2 cap)^2 each, tau .1: -2.4."""
    history = train(built(loss="paper", tau=0.1, cap=1.0), few(digits), 3)
    assert history[-1]["loss"] < history[0]["loss"]
    assert all(metrics["loss"] > -2.4 for metrics in history)


def spread(defense, batches):
    """Return the mean squared distance of conv3's features to their class mean, over that of the class means."""
    images, labels = next(iter(batches))
    with held(defense.model), torch.no_grad():
        _, features = defense.model.features(images)
    means = torch.stack([features["conv3"][labels == label].mean(0) for label in range(10)])
    within = (features["conv3"] - means[labels]).square().sum(1).mean()
    return (within / (means - means.mean(0)).square().sum(1).mean()).item()


@pytest.mark.parametrize(("loss", "tau"), [("code", 0.01), ("paper", 1.0)])
def test_supervision_draws_features_of_a_class_together(loss, tau, digits):
    """Cross-entropy alone gives .37, the code's loss .21, the paper's .23."""
    both = [built(epochs=4, width=8, warmup_epochs=1, loss=loss, tau=weight) for weight in (0.0, tau)]
    for defense in both:
        train(defense, few(digits, None), 4)
    plain, supervised = (spread(d, few(digits, optimisation=OptimisationSpec(batch_size=192))) for d in both)
    assert supervised < 0.75 * plain


# --- adversarial training


def test_adversarial_training_doubles_the_batch_by_its_attacked_images(digits):
    defense = built(adversarial=ATTACKED, layers=())
    batches = few(digits, 64)
    images, labels = next(iter(few(digits, 64)))
    generator = torch.Generator().manual_seed(0)
    torch.randperm(64, generator=generator)
    attacked = perturbed(defense.model, images, labels, defense.config.adversarial, generator)
    size = (attacked - images).abs().amax()
    assert 0.05 <= size <= 0.2
    with torch.no_grad():
        halves = [cross_entropy(defense.model(half), labels).item() for half in (images, attacked)]
    assert halves[1] > halves[0]
    assert train(defense, batches, 1)[0]["loss"] == pytest.approx(sum(halves) / 2, rel=1e-6)


def test_the_warm_up_of_adversarial_training_is_clean(digits):
    defenses = built(warmup_epochs=1, adversarial=ATTACKED), built(warmup_epochs=1)
    histories = [train(defense, few(digits), 1) for defense in defenses]
    assert histories[0] == histories[1]


def test_pushing_centres_are_slower_in_adversarial_training():
    for adversarial, lr in ((None, 1e-4), (ATTACKED, 1e-5)):
        defense = built(adversarial=adversarial, pull_weight=0.0)
        rule = defense.model.losses["conv3"].rule
        f, y, w = torch.zeros(10, 8), torch.arange(10), torch.ones(2, 10, 8)
        # The gradient of mean_{j != y} |0 - 1|^2 is 2 / k in every entry.
        torch.testing.assert_close(rule.step(f, y, w)[1] - 1, torch.full((10, 8), lr * 0.2), rtol=0.02, atol=1e-7)


# --- layers


def test_the_last_three_stages_with_parameters_are_supervised_by_default():
    stages = {name: nn.Conv2d(1, 1, 1) for name in "abcd"} | {"gap": nn.AvgPool2d(28)}
    network = Staged(stages, nn.Linear(1, 10), (1, 28, 28))
    task = Task((1, 28, 28), 10, NetworkSpec(), OPTIMISATION, 3, CPU)
    assert list(supervised(network, PclConfig(), task).branches) == ["b", "c", "d"]
    assert list(built().model.branches) == ["conv1", "conv2", "conv3"]


def test_an_fc_branch_gives_its_layer_its_dimension():
    """A branch of a layer that is not supervised, as in a study of layers, is not built."""
    defense = built(layers=("conv1", "conv3"), branch_dims={"conv1": 6, "conv2": 5})
    _, features = defense.model.features(torch.rand(2, 1, 28, 28))
    assert {layer: tuple(f.shape) for layer, f in features.items()} == {"conv1": (2, 6), "conv3": (2, 8)}


def test_resnet110_is_supervised_as_in_the_papers_table_1():
    task = Task((3, 8, 8), 10, NetworkSpec(name="resnet110"), OPTIMISATION, 3, CPU)
    model = Pcl(PclConfig(branch_dims={"layer3": 512}), task).model
    with held(model), torch.no_grad():
        _, features = model.features(torch.rand(1, 3, 8, 8))
    assert {layer: f.shape[1] for layer, f in features.items()} == {"layer3": 512, "layer4": 256, "fc1024": 1024}


def test_maps_are_averaged_over_their_pixels():
    maps = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(pooled(maps), torch.stack([maps[..., 0, :], *maps.unbind(2)[1:]]).mean((0, 3)))
    assert torch.equal(pooled(maps[..., 0, 0]), maps[..., 0, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"layers": ("conv9",)}, "unknown stage 'conv9'.*conv", id="no such stage"),
        pytest.param({"layers": ("conv1", "conv1")}, "layers must name each stage once", id="twice"),
        pytest.param({"branch_dims": {"conv9": 6}}, "unknown stage of branch_dims 'conv9'", id="branch of no stage"),
        pytest.param({"branch_dims": {"conv1": 0}}, "greater than 0", id="empty branch"),
        pytest.param({"warmup_epochs": 3}, "warmup_epochs must be below epochs=3, got 3", id="nothing but warm-up"),
    ],
)
def test_wrong_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        built(**settings)


# --- views


@pytest.mark.parametrize("supervision", PER_EXAMPLE)
def test_the_joint_view_gives_the_logits_and_the_loss_that_is_trained_on(supervision, digits):
    defense = built(supervision=supervision, tau=0.3)
    images, labels = next(iter(few(digits)))
    view = defense.view("joint_loss").eval()
    output = view(images)
    assert torch.equal(joint_logits(output), defense.model(images))
    trained_on = defense._joint_loss(images, labels, generator=torch.Generator())
    torch.testing.assert_close(joint_loss(output, labels).mean(), trained_on)


def test_every_view_has_finite_input_gradients_that_do_not_vanish(trained, test_images):
    pixels, labels = test_images
    losses = {"default": lambda output, y: cross_entropy(output, y, reduction="none"), "joint_loss": joint_loss}
    assert set(losses) == trained.views
    for name, loss in losses.items():
        view, images = trained.view(name), (pixels[:64] / 255).requires_grad_()
        with held(view):
            (gradient,) = torch.autograd.grad(loss(view(images), labels[:64]).sum(), images)
        assert gradient.isfinite().all()
        assert gradient.flatten(1).norm(dim=1).min() > 1e-6


def test_an_attack_on_the_joint_loss_raises_it_more_than_an_attack_on_cross_entropy(trained, test_images):
    images, labels = test_images[0][:64] / 255, test_images[1][:64]
    view = JointLossView(trained.model, tau=1.0)
    settings = {"eps": 0.05, "ball": NORMS["linf"], "steps": 5, "step": 0.0125}

    def raised(loss):
        with held(view):
            found = ascend(view, images, labels, loss=loss, **settings)
            return joint_loss(view(found), labels).mean()

    assert raised(joint_loss) > raised(lambda output, y: cross_entropy(joint_logits(output), y, reduction="none"))


@pytest.mark.parametrize("supervision", ["contrastive", "triplet"])
def test_a_loss_of_pairs_has_no_joint_view(supervision):
    with pytest.raises(InputError, match="joint_loss needs a loss of a single example"):
        built(supervision=supervision).view("joint_loss")


def test_an_unknown_view_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown view 'static'.*default, joint_loss"):
        built().view("static")


def test_no_sample_looks_across_the_batch_in_evaluation(trained, test_images):
    images = test_images[0][:6] / 255
    for view in map(trained.view, sorted(trained.views)):
        with held(view), torch.no_grad():
            torch.testing.assert_close(view(images), torch.cat([view(image[None]) for image in images]))


# --- state


@pytest.mark.parametrize("stop", [1, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"adversarial": ATTACKED}, {"supervision": "softmax"}, {"loss": "paper"}], ids=str
)
def test_stopped_after_any_epoch_it_goes_on_bit_for_bit(settings, stop, digits):
    settings = {"warmup_epochs": 1, "branch_dims": {"conv3": 5}} | settings
    whole, first, rest = (built(**settings) for _ in range(3))
    train(whole, few(digits), 3)
    batches = few(digits)
    train(first, batches, stop)
    tensors, skeleton = pack(first.state_dict())
    rest.load_state_dict(unpack(tensors, json.loads(json.dumps(skeleton))))
    train(rest, batches, 3 - stop)
    assert equal(weights(rest.model), weights(whole.model))


def test_the_model_alone_gives_back_its_views_in_a_new_defense(trained, test_images):
    fresh = built(epochs=4, width=8)
    fresh.model.load_state_dict(trained.model.state_dict())
    for name in trained.views:
        views: list[nn.Module] = [fresh.view(name), trained.view(name)]
        with held(*views), torch.no_grad():
            outputs = [view(test_images[0][:20] / 255) for view in views]
        assert torch.equal(*outputs)
