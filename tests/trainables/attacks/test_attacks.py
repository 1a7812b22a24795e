"""One suite that every attack of the registry passes in every norm."""

import itertools
from typing import get_args

import pytest
import torch
from evaluated import evaluate_attacked, goal_of
from torch import nn

from trainables.attacks import ATTACKS
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.evaluation.clean import evaluate_clean
from trainables.evaluation.transferred import craft
from trainables.judges import CLASSIFICATION
from trainables.runtime.modes import held

EPS = {"linf": (0.05, 0.15, 0.3), "l2": (0.5, 1.5, 3.0), "l1": (5.0, 15.0, 40.0)}

CHEAP = {
    "ddn": {"steps": 30},
    "cw": {"steps": 30, "search_steps": 3, "initial_const": 1.0, "lr": 0.05},
    "deepfool": {"steps": 10},
    "pgd": {"steps": 20},
    "daa": {"steps": 10, "particles": 2},
    "spsa": {"steps": 20, "pairs": 16, "lr": 0.05},
    "ead": {"steps": 20, "search_steps": 2, "initial_const": 1.0},
    "boundary": {"steps": 100, "eps": (3.0, 6.0, 12.0)},
    "autoattack": {"steps": 4, "targets": 1, "queries": 5},
}  # settings under which an attack is quick and still finds most

# Noise follows no gradient, and one step in L1 leaves the box: they break few, at most what larger eps allow.
WEAK = {("gaussian_noise", "linf"), ("gaussian_noise", "l2"), ("fgsm", "l1")}

LONG = {"autoattack", "boundary", "cw", "daa", "ead", "spsa"}  # even so; their own tests are quicker


def norms_of(attack):
    """The norms that the attack's settings list, or all of them where they list none."""
    return get_args(attack.Spec.model_fields["norm"].annotation) or tuple(EPS)


def cases():
    for name, attack in ATTACKS.items():
        for norm in EPS:
            if attack.craft and norm in norms_of(attack):
                marks = [pytest.mark.slow] if name in LONG else []
                yield pytest.param(name, norm, id=f"{name}-{norm}", marks=marks)


every_attack = pytest.mark.parametrize(("name", "norm"), list(cases()))


class Rounding(nn.Module):
    """Rounds its input, and so has no gradient: it masks."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images.round())


@pytest.fixture(scope="module")
def cnn(trained):
    return trained("none").defense.model


@pytest.fixture(scope="module")
def examples(digits):
    return torch.from_numpy(digits.test.pixels[:48]), torch.from_numpy(digits.test.labels[:48])


def spec(name, norm, eps=None):
    settings = {"eps": EPS[norm]} | CHEAP.get(name, {}) | ({"eps": eps} if eps else {})
    return attack_spec({"name": name, "norm": norm} | settings)


def same(one, other):
    return all(
        a.eps == b.eps and (a.correct == b.correct).all() and (a.prediction == b.prediction).all()
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_a_spec_is_called_as_its_attack_is_registered(name):
    assert issubclass(ATTACKS[name].Spec, AttackSpec)
    assert ATTACKS[name].Spec.model_fields["name"].default == name


@every_attack
@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
def test_it_stays_inside_the_ball_and_the_box_and_changes_nothing_else(name, norm, stop_early, cnn, examples):
    images, labels = examples[0] / 255, examples[1]
    before = images.clone()
    for eps in EPS[norm][-1:] if ATTACKS[name].minimises else EPS[norm]:
        with held(cnn):
            found = ATTACKS[name].craft(
                cnn,
                images,
                labels,
                eps=eps,
                spec=spec(name, norm),
                goal=goal_of(spec(name, norm).loss),
                noise=Noise(torch.arange(48), (1, 28, 28), seed=0),
                stop_early=stop_early,
            )
        assert found.shape == images.shape
        assert found.dtype == images.dtype
        assert not found.requires_grad
        assert found.min() >= 0
        assert found.max() <= 1
        if ATTACKS[name].minimises:
            original = (found == images).flatten(1).all(1)
            assert (original | (cnn(found).argmax(1) != labels)).all()
        else:
            assert NORMS[norm].size(found - images).max() <= eps * (1 + 1e-5)
        assert torch.equal(images, before)


@every_attack
def test_it_breaks_nothing_that_no_perturbation_of_its_size_can_break(name, norm, linear):
    nearest = linear.nearest[norm]
    attack = spec(name, norm, linear.grid(norm))
    for outcome in evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0):
        broken = ~torch.from_numpy(outcome.correct)
        assert (nearest[broken] <= outcome.eps).all()
        assert (torch.from_numpy(outcome.distance)[broken] >= nearest[broken] * (1 - 1e-4)).all()


@every_attack
def test_it_breaks_most_of_what_an_undefended_cnn_gets_right(name, norm, cnn, examples):
    outcomes = evaluate_attacked(cnn, cnn, *examples, attack=spec(name, norm), seed=0)
    left = 0.3 if (name, norm) not in WEAK else outcomes[0].correct.mean() + 1e-9
    assert outcomes[-1].correct.mean() < left


@every_attack
def test_accuracy_never_rises_with_eps(name, norm, cnn, examples):
    outcomes = evaluate_attacked(cnn, cnn, *examples, attack=spec(name, norm), seed=0)
    for smaller, larger in itertools.pairwise(outcomes):
        assert (larger.correct <= smaller.correct).all()


@every_attack
def test_it_gives_the_same_outcomes_again(name, norm, cnn, examples):
    runs = [evaluate_attacked(cnn, cnn, *examples, attack=spec(name, norm), seed=3) for _ in range(2)]
    assert same(*runs)
    assert (runs[0][-1].distance == runs[1][-1].distance).all()


@every_attack
@pytest.mark.parametrize("size", [1, 3])
def test_outcomes_do_not_depend_on_the_batch_size(name, norm, size, linear, batches_of):
    arguments = linear.model, linear.model, linear.images, linear.labels
    attack = spec(name, norm, linear.grid(norm)[::3])
    whole = evaluate_attacked(*arguments, attack=attack, seed=0)
    batches_of(size)
    assert same(whole, evaluate_attacked(*arguments, attack=attack, seed=0))


@every_attack
def test_outcomes_of_an_example_do_not_depend_on_which_others_are_there(name, norm, linear):
    attack = spec(name, norm, linear.grid(norm)[::3])
    images, labels = linear.images, linear.labels
    whole = evaluate_attacked(linear.model, linear.model, images, labels, attack=attack, seed=0)
    first = evaluate_attacked(linear.model, linear.model, images[:3], labels[:3], attack=attack, seed=0)
    wrong = labels.clone()
    wrong[3:] = 1 - wrong[3:]  # misclassified from the start, and so not attacked
    alone = evaluate_attacked(linear.model, linear.model, images, wrong, attack=attack, seed=0)
    for all_of_them, three, three_attacked in zip(whole, first, alone, strict=True):
        assert (all_of_them.correct[:3] == three.correct).all()
        assert (all_of_them.correct[:3] == three_attacked.correct[:3]).all()


@every_attack
def test_a_model_without_gradients_is_attacked_without_an_error(name, norm, cnn, examples):
    """Zero gradients move nothing: only a start could, and within .05 of a black or white pixel none rounds away."""
    images = (examples[0] > 127).to(torch.uint8) * 255
    masked = Rounding(cnn)
    clean = evaluate_clean(masked, images, examples[1], judge=CLASSIFICATION)
    assert clean.correct.mean() > 0.5
    for outcome in evaluate_attacked(masked, masked, images, examples[1], attack=spec(name, norm, (0.05,)), seed=0):
        assert (outcome.correct == clean.correct).all()


@every_attack
def test_no_parameter_is_left_with_a_gradient(name, norm, cnn, examples):
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    evaluate_attacked(model, model, *examples, attack=spec(name, norm), seed=0)
    craft(model, *examples, attack=spec(name, norm), seed=0, judge=CLASSIFICATION)
    assert all(parameter.grad is None for parameter in model.parameters())


@every_attack
def test_the_global_rng_neither_matters_nor_changes(name, norm, linear):
    arguments = linear.model, linear.model, linear.images, linear.labels
    attack = spec(name, norm, linear.grid(norm))
    torch.manual_seed(1)
    first = evaluate_attacked(*arguments, attack=attack, seed=0)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert same(first, evaluate_attacked(*arguments, attack=attack, seed=0))
    assert torch.equal(before, torch.get_rng_state())
