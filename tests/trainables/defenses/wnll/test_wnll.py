"""The WNLL defense: what it predicts, what an attacker sees of it, and how it trains."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluated import evaluate_attacked
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.attacks import ATTACKS
from trainables.data.splits import Images
from trainables.defenses.wnll.defense import Stage, Wnll, WnllConfig, WnllInference, alternation
from trainables.defenses.wnll.total_variation import TvmConfig, draw_mask, minimise
from trainables.errors import InputError
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.adversarial import AdversarialConfig
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task
from trainables.judges import CLASSIFICATION
from trainables.networks import NETWORKS
from trainables.networks.spec import NetworkSpec
from trainables.networks.staged import Staged
from trainables.runtime.statetree import pack, unpack
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun, build, on_device

FAST = AdversarialConfig(attack="fgsm", eps=0.03)
PGD = AdversarialConfig(steps=2, eps=(0.05, 0.1))
ALONE = WnllInference(transductive=False)


def spec(epochs, **config):
    return TrainingSpec.model_validate(
        {
            "network": {"width": 8},
            "defense": {"name": "wnll", **config},
            "epochs": epochs,
            "optimisation": {"lr": 2e-3, "batch_size": 32},
        }
    )


def trained(spec, splits):
    run = TrainingRun(spec, splits)
    while not run.finished:
        run.step()
    return run


@pytest.fixture(scope="module")
def run(digits):
    return trained(spec(6, wnll_epochs=1, loops=1), digits)


@pytest.fixture(scope="module")
def few(digits):
    """90 training images."""
    chosen = Images(digits.train.pixels[:90], digits.train.labels[:90])
    return replace(digits, train=chosen)


def some(splits, n=48):
    pixels, labels = on_device(splits.test, torch.device("cpu"))
    return pixels[:n].float() / 255, labels[:n]


def one_step(config, splits, epochs=2):
    """A defense after `prepare`, and its batches."""
    task = Task(
        splits.shape, splits.outputs, NetworkSpec(width=8), OptimisationSpec(batch_size=45), epochs, torch.device("cpu")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        defense = Wnll(config, task)
    batches = Batches(*on_device(splits.train, task.device), task.optimisation, torch.Generator().manual_seed(0))
    defense.prepare(batches)
    return defense, batches


def input_gradient(view, images, labels):
    images = images.clone().requires_grad_()
    return torch.autograd.grad(cross_entropy(view(images), labels, reduction="sum"), images)[0]


@pytest.mark.parametrize("inference", [WnllInference(), ALONE], ids=["transductive", "alone"])
def test_digits_are_learned(run, digits, inference):
    view = run.defense.view("default", inference)
    assert evaluate_clean(view, *on_device(digits.test, "cpu"), judge=CLASSIFICATION).correct.mean() > 0.94


def test_output_is_the_logarithm_of_probabilities(run, digits):
    run.defense.model.eval()
    U = run.defense.model(some(digits)[0]).exp()
    torch.testing.assert_close(U.sum(1), torch.ones(len(U)), rtol=0, atol=1e-4)


def test_views_predict_alike(run, digits):
    run.defense.model.eval()
    images, _ = some(digits)
    for inference in [None, ALONE, WnllInference(tvm=TvmConfig(iterations=20))]:
        logits = [run.defense.view(name, inference)(images) for name in sorted(Wnll.views)]
        for other in logits[1:]:
            torch.testing.assert_close(other, logits[0])
    torch.testing.assert_close(run.defense.view("default")(images), run.defense.model(images))


@pytest.mark.parametrize("name", sorted(Wnll.views))
@pytest.mark.parametrize(
    "inference", [WnllInference(), ALONE, WnllInference(tvm=TvmConfig(iterations=20))], ids=["batch", "alone", "tvm"]
)
def test_every_view_has_a_gradient(run, digits, name, inference):
    run.defense.model.eval()
    gradient = input_gradient(run.defense.view(name, inference), *some(digits))
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 1e-3
    if name == "straight_through":
        assert (gradient.flatten(1).norm(dim=1) > 0).all()


def test_exact_gradient_vanishes_among_neighbors_of_one_class_and_the_straight_through_one_does_not(run, digits):
    """U is then one-hot whatever the weights of the neighbours are: masking that comes with the kernel."""
    run.defense.model.eval()
    images, labels = some(digits, 128)
    exact, through = (
        input_gradient(run.defense.view(name, ALONE), images, labels).flatten(1).norm(dim=1)
        for name in ("implicit", "straight_through")
    )
    unanimous = run.defense.view("default", ALONE)(images).exp().amax(1) > 1 - 2e-5
    assert 0 < unanimous.float().mean() < 1
    assert exact[unanimous].max() < 1e-6 < exact[~unanimous].median()
    assert through[unanimous].min() > 0


def test_straight_through_jacobian_is_the_linear_heads(run, digits):
    run.defense.model.eval()
    images = some(digits, 12)[0].requires_grad_()
    views = run.defense.view("straight_through"), run.defense.view("default", WnllInference(activation="linear"))
    for k in range(digits.outputs):
        through, linear = (torch.autograd.grad(view(images)[:, k].sum(), images)[0] for view in views)
        torch.testing.assert_close(through, linear, rtol=0, atol=0)
    assert linear.abs().max() > 0


@pytest.mark.parametrize("config", [{}, {"solver": "cg"}, {"kernel": "gaussian"}], ids=str)
@pytest.mark.parametrize("inference", [WnllInference(), ALONE], ids=["transductive", "alone"])
def test_implicit_gradient_is_that_of_finite_differences_in_pixels(few, digits, config, inference):
    defense, _ = one_step(WnllConfig(**config), few)
    defense.model.double().eval()
    images, labels = some(digits, 20)
    images, view = images.double(), defense.view("implicit", inference)
    # Away from the kinks: ReLUs at blank pixels, and ties among neighbours.
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0), dtype=images.dtype)
    images = 0.05 + 0.8 * images + 0.1 * noise
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=images.dtype)
    slope = (input_gradient(view, images, labels) * direction).sum()
    ahead, behind = (cross_entropy(view(images + h * direction), labels, reduction="sum") for h in (1e-7, -1e-7))
    assert abs(slope) > 1e-4
    torch.testing.assert_close((ahead - behind) / 2e-7, slope, rtol=1e-4, atol=0)


def test_query_alone_ignores_its_batch(run, digits):
    run.defense.model.eval()
    view, images = run.defense.view("default", ALONE), some(digits)[0]
    torch.testing.assert_close(view(images)[:5], view(images[:5]), rtol=0, atol=1e-3)


def test_transductive_answer_depends_on_the_batch(run, digits):
    run.defense.model.eval()
    images = some(digits)[0]
    assert (run.defense.model(images)[:5].exp() - run.defense.model(images[:5]).exp()).abs().max() > 1e-3


def test_checkpoint_of_the_model_gives_the_same_logits(run, digits):
    fresh = build(run.spec, digits).model
    fresh.load_state_dict(run.defense.model.state_dict())
    fresh.eval()
    run.defense.model.eval()
    images = some(digits)[0]
    torch.testing.assert_close(fresh(images), run.defense.model(images), rtol=0, atol=0)


@pytest.mark.parametrize("change", ["weights", "template"])
def test_kept_template_features_follow_what_they_depend_on(few, digits, change):
    defense, _ = one_step(WnllConfig(), few)
    other, _ = one_step(WnllConfig(template_seed=1), few)
    model, images = defense.model.eval(), some(digits)[0]
    before = model(images)
    state = model.state_dict() | {
        key: 1.5 * value + 0.1 if change == "weights" else value
        for key, value in other.model.state_dict().items()
        if key.startswith("template") == (change == "template")
    }
    model.load_state_dict(state)
    after = model(images)
    other.model.load_state_dict(state)
    torch.testing.assert_close(after, other.model.eval()(images), rtol=0, atol=0)
    assert not torch.equal(before, after)


def test_template_is_balanced_and_chosen_by_its_seed(digits):
    models = [one_step(WnllConfig(template=105, template_seed=seed), digits)[0].model for seed in (0, 0, 1)]
    counts = torch.bincount(models[0].template_labels)
    assert counts.sum() == 105
    assert counts.max() - counts.min() <= 1
    assert torch.equal(models[0].template_images, models[1].template_images)
    assert not torch.equal(models[0].template_images, models[2].template_images)


def test_template_images_have_their_labels(digits):
    model = one_step(WnllConfig(template=40), digits)[0].model
    pixels, labels = on_device(digits.train, torch.device("cpu"))
    for image, label in zip(model.template_images, model.template_labels, strict=True):
        assert label in labels[(pixels == image).flatten(1).all(1)]


def test_template_of_few_images_leaves_half_of_them_to_train_on(few, digits):
    model = one_step(WnllConfig(), few)[0].model
    assert (model.template_labels >= 0).sum() == 45
    assert model.eval()(some(digits)[0]).isfinite().all()


def test_stages_alternate():
    config = WnllConfig(loops=2, wnll_epochs=5)
    linear, last = Stage(0, "linear", 395), Stage(1, "wnll", 5)
    plan = alternation(config, 800)
    assert plan == [linear] * 395 + [Stage(0, "wnll", 5)] * 5 + [Stage(1, "linear", 395)] * 395 + [last] * 5


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 120])
def test_every_plan_has_its_epochs_and_no_more_wnll_than_linear(epochs):
    plan = alternation(WnllConfig(loops=3, wnll_epochs=4), epochs)
    assert len(plan) == epochs
    assert sum(stage.kind == "wnll" for stage in plan) <= epochs / 2


def test_wnll_stage_trains_the_buffer_layer_only(few):
    defense, batches = one_step(WnllConfig(loops=1), few)
    for kind in ["linear", "wnll"]:
        before = {name: p.clone() for name, p in defense.model.named_parameters()}
        metrics = defense.train_epoch(batches)
        changed = {name for name, p in defense.model.named_parameters() if not torch.equal(p, before[name])}
        buffer = {name for name in before if ".buffer." in name}
        assert changed == (buffer if kind == "wnll" else set(before))
        assert metrics["wnll_stage"] == (kind == "wnll")
        assert all(p.requires_grad for p in defense.model.parameters())


def test_learning_rates_are_the_stages(few):
    config = WnllConfig(loops=2, wnll_epochs=1, later_lr=0.5, wnll_lr=0.2)
    defense, batches = one_step(config, few, epochs=4)
    rates = [defense.train_epoch(batches)["lr"] for _ in range(4)]
    assert rates == pytest.approx([1e-3, 2e-4, 5e-4, 1e-4])


def small_resnet_like(shape, classes, *, width=None):
    """A network with batch normalisation, dropout and a buffer layer of its own."""
    conv = nn.Sequential(nn.Conv2d(shape[0], 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(3))
    stages = {"conv": conv, "drop": nn.Dropout(), "buffer": nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU())}
    return Staged(stages, nn.Linear(16, classes), shape)


def test_network_with_a_buffer_layer_keeps_it_and_its_statistics(few, monkeypatch):
    monkeypatch.setitem(NETWORKS.added, "cnn3", small_resnet_like)
    defense, batches = one_step(WnllConfig(loops=1), few)
    assert defense.model.network.head.in_features == 16
    defense.model.train()
    defense.train_epoch(batches)
    statistics = {name: b.clone() for name, b in defense.model.named_buffers()}
    defense.train_epoch(batches)
    for name, buffer in defense.model.named_buffers():
        assert torch.equal(buffer, statistics[name])
    assert all(module.training for module in defense.model.modules())


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
@pytest.mark.parametrize(
    "config",
    [{}, {"adversarial": PGD, "training_data": "original+tvm", "tvm": TvmConfig(iterations=5), "kernel": "gaussian"}],
    ids=["natural", "adversarial"],
)
def test_going_on_after_any_stage_is_bit_identical(few, config, stopped_after):
    wanted = spec(4, loops=2, wnll_epochs=1, **config)
    whole, first = trained(wanted, few), TrainingRun(wanted, few)
    for _ in range(stopped_after):
        first.step()
    second = TrainingRun(wanted, few)
    second.load_state(unpack(*pack(first.state())))
    while not second.finished:
        second.step()
    for (name, a), b in zip(
        whole.defense.model.state_dict().items(), second.defense.model.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_adversarial_training_makes_the_network_more_robust(digits, run):
    robust = trained(spec(6, wnll_epochs=1, loops=1, adversarial=FAST), digits)
    pixels, labels = on_device(digits.test, torch.device("cpu"))
    attack = ATTACKS["fgsm"].Spec(name="fgsm", eps=(0.1,))
    natural, adversarial = (
        evaluate_attacked(d.model, d.view("straight_through"), pixels[:128], labels[:128], attack=attack, seed=0)[
            0
        ].correct.mean()
        for d in (run.defense, robust.defense)
    )
    assert adversarial > natural + 0.05


@pytest.mark.parametrize(("data", "size"), [("original", 90), ("tvm", 90), ("original+tvm", 180)])
def test_template_comes_from_the_training_data_that_is_asked_for(few, data, size):
    defense, _ = one_step(WnllConfig(training_data=data, tvm=TvmConfig(iterations=10)), few)
    template = defense.model.template_images[: size // 2]
    assert (defense.model.template_labels >= 0).sum() == size // 2
    known = {image.tobytes() for image in few.train.pixels}
    original = np.mean([image.numpy().tobytes() in known for image in template])
    low, high = {"original": (1, 1), "tvm": (0, 0), "original+tvm": (0.3, 0.7)}[data]
    assert low <= original <= high


def test_tvm_at_test_is_tvm_of_the_queries(run, digits):
    run.defense.model.eval()
    images, config = some(digits)[0], TvmConfig(iterations=20, seed=3)
    mask = draw_mask((1, *digits.shape), config)
    smooth = minimise(images, mask, lambda_tv=config.lambda_tv, iterations=20).clamp(0, 1)
    with_tvm = run.defense.view("default", WnllInference(tvm=config))(images)
    torch.testing.assert_close(with_tvm, run.defense.model(smooth), rtol=0, atol=1e-3)
    assert (with_tvm - run.defense.model(images)).abs().max() > 0.1


def test_scale_neighbor_must_be_a_neighbor():
    with pytest.raises(ValidationError, match="scale_neighbor must be at most neighbors, got scale_neighbor=9"):
        WnllConfig(neighbors=8, scale_neighbor=9)


def test_unknown_view_names_the_nearest(run):
    with pytest.raises(InputError, match="Did you mean 'implicit'"):
        run.defense.view("implict")
