"""One suite that every defense of the registry passes."""

import dataclasses
import functools
from contextlib import nullcontext

import pytest
import torch
from gentle import VARIANTS, gentle
from small_problems import equal, weights
from torch.nn.functional import cross_entropy

from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.defenses import DEFENSES
from trainables.errors import InputError
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.batches import Batches
from trainables.judges import CLASSIFICATION
from trainables.runtime.failures import DivergedError
from trainables.runtime.modes import held
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun, build, on_device

CPU = torch.device("cpu")
OPTIMISATIONS = {
    "adam": {},
    "sgd, cosine, augmented": {
        "optimizer": "sgd",
        "lr": 0.02,
        "weight_decay": 1e-4,
        "schedule": "cosine",
        "augmentation": ["crop", "flip"],
    },
    "adam, multistep": {"schedule": "multistep", "milestones": [1, 2], "patience": 9},
}

# What keeps a prediction from depending on its batch: wnll is transductive and says so, rbf_cnn draws noise.
PER_SAMPLE = {"wnll": {"transductive": False}, "rbf_cnn": {"beta2": 0.0}}
WRONG_SHAPES = {
    "one image, no batch": (1, 28, 28),
    "channels": (2, 3, 28, 28),
    "channels last": (2, 28, 28, 1),
    "larger": (2, 1, 32, 32),
    "smaller": (2, 1, 28, 27),
}
WRONG_VALUES = {
    "[0, 255]": (255.0, 0.0, r"images must be in \[0, 1\], got \[0, 255\] \(images in \[0, 255\]\? divide by 255\)"),
    "normalised": (2.0, -1.0, r"images must be in \[0, 1\], got \[-1, 1\]"),
    "a little above 1": (1.01, 0.0, r"images must be in \[0, 1\], got \[0, 1\.01\]"),
    "not numbers": (float("nan"), 0.0, r"images must be in \[0, 1\], got \[nan, nan\]"),
}
# Views of which some inputs may have no gradient at all, as their sheets and docstrings say.
MAY_VANISH = {("wnll", "default"), ("wnll", "implicit")}

every_defense = pytest.mark.parametrize("name", [*DEFENSES, *VARIANTS])


@pytest.fixture(scope="module")
def few():
    return load(DatasetSpec(train_examples=128))


def spec(name, *, epochs=3, seed=0, **optimisation):
    optimisation = {"batch_size": 48} | optimisation
    return TrainingSpec(defense=gentle(name), network={"width": 3}, epochs=epochs, seed=seed, optimisation=optimisation)


def defense_weights(run):
    return weights(run.defense.model)


def finish(run):
    while not run.finished:
        run.step()
    return run


def without_seconds(history):
    return [{key: value for key, value in metrics.items() if not key.endswith("seconds")} for metrics in history]


@pytest.mark.parametrize("name", DEFENSES)
def test_its_config_carries_its_name_and_default_is_a_view(name):
    assert DEFENSES[name].Config.model_fields["name"].default == name
    assert "default" in DEFENSES[name].views


@every_defense
def test_a_view_that_it_does_not_have_is_refused_with_the_ones_it_has(name, few):
    defense = build(spec(name), few)
    for view in ("nowhere", "Default", ""):
        known = ", ".join(sorted(defense.views))
        with pytest.raises(InputError, match=rf"^unknown view {view!r}\..* Known: {known}\.$"):
            defense.view(view, defense.Inference())


@every_defense
def test_it_learns_the_digits(name, trained, digits):
    """Four epochs of width 8 give .88 to .95; chance is .1."""
    outcome = evaluate_clean(trained(name).defense.model, *on_device(digits.test, CPU), judge=CLASSIFICATION)
    assert outcome.correct.mean() > 0.8


@every_defense
def test_metrics_hold_loss_lr_and_what_the_run_adds(name, trained):
    for number, metrics in enumerate(trained(name).history, 1):
        assert {"loss", "lr", "validation_accuracy", "seconds", "epoch"} <= set(metrics)
        assert metrics["epoch"] == number
        assert all(isinstance(value, int | float) for value in metrics.values())
    losses = [metrics["loss"] for metrics in trained(name).history]
    assert losses[-1] < losses[0] / 2


@pytest.fixture(scope="module")
def interrupted(few, stored):
    """Train a defense once a module; return the run and its state before every epoch, through a store's formats."""

    @functools.cache
    def train(name, optimisation):
        run, states = TrainingRun(spec(name, **OPTIMISATIONS[optimisation]), few), []
        while not run.finished:
            states.append(stored(run.state()))
            run.step()
        return run, states

    return train


@every_defense
@pytest.mark.parametrize("optimisation", OPTIMISATIONS)
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_stopped_after_any_epoch_it_goes_on_bit_for_bit(name, optimisation, stop, few, interrupted):
    """Nobody takes the state of the resumed run, so taking it must not change a run either."""
    whole, states = interrupted(name, optimisation)
    assert len(states) == 3
    torch.rand(11)
    rest = TrainingRun(whole.spec, few)
    rest.load_state(states[stop])
    finish(rest)
    assert equal(defense_weights(rest), defense_weights(whole))
    assert without_seconds(rest.history) == without_seconds(whole.history)


@every_defense
def test_one_seed_gives_one_result_and_another_seed_another(name, few):
    first, again, other = (
        defense_weights(finish(TrainingRun(spec(name, seed=seed, epochs=1), few))) for seed in (4, 4, 5)
    )
    assert equal(first, again)
    assert not equal(first, other)


@every_defense
def test_training_neither_uses_nor_changes_the_global_rng(name, few):
    torch.manual_seed(1)
    first = defense_weights(finish(TrainingRun(spec(name, epochs=1), few)))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert equal(first, defense_weights(finish(TrainingRun(spec(name, epochs=1), few))))
    assert torch.equal(before, torch.get_rng_state())


@every_defense
def test_training_leaves_the_images_alone(name, few):
    before = [part.pixels.copy() for part in (few.train, few.validation)]
    finish(TrainingRun(spec(name, epochs=1, augmentation=["crop", "flip"]), few))
    assert all((part.pixels == b).all() for part, b in zip((few.train, few.validation), before, strict=True))


@every_defense
def test_every_parameter_is_trained(name, few):
    run = TrainingRun(spec(name, lr=0.01), few)
    before = defense_weights(run)
    after = defense_weights(finish(run))
    still = [n for n, p in run.defense.model.named_parameters() if p.requires_grad and torch.equal(before[n], after[n])]
    assert not still


@every_defense
def test_the_model_alone_gives_back_its_logits_in_a_new_defense(name, trained, digits, stored):
    """What a checkpoint keeps is the model's state; an evaluation builds the rest anew."""
    run = trained(name)
    fresh = build(run.spec, digits)
    fresh.model.load_state_dict(stored(run.defense.model.state_dict()))
    images = on_device(digits.test, CPU)[0][:20] / 255
    with held(run.defense.model, fresh.model):
        assert torch.equal(fresh.model(images), run.defense.model(images))


@every_defense
def test_every_view_has_finite_input_gradients_that_do_not_vanish(name, trained, digits):
    defense = trained(name).defense
    pixels, labels = on_device(digits.test, CPU)
    for view in sorted(defense.views):
        model = defense.view(view)
        images = (pixels[:64] / 255).requires_grad_()
        with held(model):
            (gradient,) = torch.autograd.grad(cross_entropy(model(images), labels[:64], reduction="sum"), images)
        assert gradient.isfinite().all(), view
        size = gradient.flatten(1).norm(dim=1)
        assert (size.max() if (name, view) in MAY_VANISH else size.min()) > 1e-6, view


@every_defense
def test_no_sample_looks_across_the_batch_in_evaluation(name, trained, digits):
    defense = trained(name).defense
    images = on_device(digits.test, CPU)[0][:12] / 255
    inference = defense.Inference(**PER_SAMPLE.get(name, {}))
    for model in [defense.view(view, inference) for view in sorted(defense.views)]:
        with held(model), torch.no_grad():
            alone = torch.cat([model(image[None]) for image in images])
            torch.testing.assert_close(model(images), alone, atol=1e-5, rtol=1e-5)


@every_defense
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=["grey 28", "RGB 32"])
def test_it_is_built_for_the_shape_and_the_classes_of_the_data(name, shape, few):
    pixels = few.train.pixels[:16].repeat(shape[0], 1).repeat(2, 2).repeat(2, 3)[:, :, : shape[1], : shape[2]]
    images = dataclasses.replace(few.train, pixels=pixels, labels=few.train.labels[:16] % 7)
    splits = dataclasses.replace(few, train=images, outputs=7)
    defense = build(spec(name), splits)
    defense.prepare(Batches(*on_device(images, CPU), spec(name).optimisation, torch.Generator()))
    assert defense.model(torch.rand(5, *shape)).shape == (5, 7)


def models(name, few):
    """An untrained defense's model, in evaluation mode, and its views."""
    defense = build(spec(name), few)
    return [defense.model.eval(), *(defense.view(view) for view in sorted(defense.views))]


@every_defense
@pytest.mark.parametrize("shape", WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_images_of_another_shape_are_refused(name, shape, few):
    """As a user calls the model, in training, and as an attack calls it."""
    images, expected = torch.rand(shape), rf"images must be \[B, 1, 28, 28\], got \[{', '.join(map(str, shape))}\]"
    for model in models(name, few):
        for context in (nullcontext(), held(model)):
            with context, pytest.raises(InputError, match=expected):
                model(images)
        with pytest.raises(InputError, match=expected):
            model.train()(images)


@every_defense
@pytest.mark.parametrize(("scale", "shift", "message"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_images_outside_0_1_are_refused(name, scale, shift, message, few):
    images = torch.linspace(0, 1, 2 * 28 * 28).reshape(2, 1, 28, 28)
    for model in models(name, few):
        with pytest.raises(InputError, match=message):
            model(images * scale + shift)


@every_defense
def test_the_model_refuses_uint8_images_and_training_refuses_floats(name, few):
    pixels, _ = on_device(few.train, CPU)
    for model in models(name, few):
        with pytest.raises(InputError, match=r"images must be floats in \[0, 1\], got uint8 .*divide by 255"):
            model(pixels)
    floats = dataclasses.replace(few.train, pixels=few.train.pixels / 255)
    with pytest.raises(InputError, match=r"images must be uint8 \[N, C, H, W\] in 0\.\.255, got float64"):
        TrainingRun(spec(name), dataclasses.replace(few, train=floats))


@every_defense
def test_evaluation_of_floats_or_of_images_of_another_shape_is_refused(name, few):
    pixels, labels = on_device(few.train, CPU)
    for model in models(name, few):
        with pytest.raises(InputError, match=r"images must be uint8 \[N, C, H, W\] in 0\.\.255, got float32"):
            evaluate_clean(model, pixels / 255, labels, judge=CLASSIFICATION)
        with pytest.raises(InputError, match=r"images must be \[B, 1, 28, 28\], got \[\d+, 1, 28, 20\]"):
            evaluate_clean(model, pixels[:, :, :, :20], labels, judge=CLASSIFICATION)


@every_defense
def test_training_on_images_of_another_shape_is_refused(name, few):
    defense = build(spec(name), few)
    pixels, labels = on_device(few.train, CPU)
    batches = Batches(pixels.expand(-1, 3, -1, -1), labels, spec(name).optimisation, torch.Generator())

    def train():
        defense.prepare(batches)
        defense.train_epoch(batches)

    with pytest.raises(InputError, match=r"images must be \[B, 1, 28, 28\], got \[\d+, 3, 28, 28\]"):
        train()


@every_defense
def test_an_attack_may_leave_0_1_on_its_way(name, trained):
    """Certification, for one, adds noise to images; evaluation has checked what it started from."""
    defense = trained(name).defense
    for view in sorted(defense.views):
        model = defense.view(view)
        with held(model), torch.no_grad():
            assert model(torch.rand(2, 1, 28, 28) * 1.2 - 0.1).isfinite().all()


@every_defense
def test_patience_stops_it(name, few):
    run = finish(TrainingRun(spec(name, epochs=9, lr=1e-30, patience=2), few))
    assert len(run.history) == 3


@every_defense
def test_divergence_is_an_error_that_names_the_epoch(name, few):
    """Weight decay multiplies the weights by -1e9 a step, so they overflow whatever the loss does."""
    with pytest.raises(DivergedError, match=r"the \w+ became (nan|-?inf) in epoch \d+.*; lower optimisation\.lr"):
        finish(TrainingRun(spec(name, epochs=9, optimizer="sgd", lr=1e9, weight_decay=1.0, batch_size=8), few))
