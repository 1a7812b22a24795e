import numpy as np
import pytest
import torch
from evaluated import evaluate_attacked
from torch import nn

from trainables.attacks import ATTACKS, Attack
from trainables.attacks.noise import uniform_noise
from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError
from trainables.evaluation.attacked import evaluate_suite
from trainables.evaluation.clean import DRAWS, answers_of, evaluate_clean
from trainables.evaluation.transferred import craft, evaluate_transferred
from trainables.judges import CLASSIFICATION
from trainables.runtime.modes import held

PGD = {"name": "pgd", "eps": (0.005, 0.02, 0.05)}


class FakeSpec(AttackSpec):
    """An attack that a test writes."""

    name: str = "fake"


@pytest.fixture
def fake(monkeypatch):
    """Register `perturb(images, labels, eps)`, or a whole `attack`, under the name fake; return its spec."""

    def register(perturb=None, eps=(0.1,), attack=None):
        def perturbing(view, images, labels, *, eps, spec, goal, noise, stop_early):
            return perturb(images, labels, eps)

        monkeypatch.setitem(ATTACKS.added, "fake", Attack(FakeSpec, attack or perturbing, "iterative"))
        return attack_spec({"name": "fake", "eps": eps})

    return register


def mixed_model():
    """A model with parts in training and in evaluation mode, with and without gradients of parameters."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.Dropout(0.5), nn.Linear(5, 2))
    model.train()
    model[2].eval()
    model[3].weight.requires_grad_(False)
    return model


def condition(model):
    return [module.training for module in model.modules()], [p.requires_grad for p in model.parameters()]


# --- holding a model still


def test_frozen_models_are_in_evaluation_mode_without_gradients():
    model = mixed_model()
    with held(model):
        assert condition(model) == ([False] * 5, [False] * 4)


@pytest.mark.parametrize("models", [1, 2], ids=["once", "as model and as view"])
def test_frozen_restores_each_module_and_each_parameter_even_after_an_error(models):
    model = mixed_model()
    before = condition(model)
    with pytest.raises(KeyError, match="inside"), held(*[model] * models):
        raise KeyError("inside")
    assert condition(model) == before


@pytest.mark.parametrize("fails", [False, True], ids=["that works", "that fails"])
def test_an_attack_leaves_the_model_as_it_was(fails, fake, linear):
    def perturb(images, labels, eps):
        if fails:
            raise ArithmeticError("the attack broke down")
        return images

    model = mixed_model()
    before = condition(model)
    arguments = {"attack": fake(perturb), "seed": 0}
    labels = evaluate_clean(model, linear.images, linear.labels, judge=CLASSIFICATION).prediction
    if fails:
        with pytest.raises(ArithmeticError, match="broke down"):
            evaluate_attacked(model, model, linear.images, torch.from_numpy(labels), **arguments)
        with pytest.raises(ArithmeticError, match="broke down"):
            craft(model, linear.images, linear.labels, **arguments, judge=CLASSIFICATION)
    else:
        evaluate_attacked(model, model, linear.images, torch.from_numpy(labels), **arguments)
        craft(model, linear.images, linear.labels, **arguments, judge=CLASSIFICATION)
    assert condition(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())


# --- clean


@pytest.mark.parametrize("size", [1, 3, 256])
def test_clean_accuracy_is_that_of_the_argmax(size, linear, batches_of):
    batches_of(size)
    labels = linear.labels.clone()
    labels[[1, 4]] = 1 - labels[[1, 4]]
    outcome = evaluate_clean(linear.model, linear.images, labels, judge=CLASSIFICATION)
    assert outcome.prediction.tolist() == linear.labels.tolist()
    assert outcome.correct.tolist() == [i not in (1, 4) for i in range(8)]
    assert outcome.eps == 0
    assert outcome.distance.tolist() == [0.0] * 8


def test_images_are_scaled_to_0_1():
    seen = []

    class Watched(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.flatten(1)

    evaluate_clean(
        Watched(), torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8), torch.tensor([2]), judge=CLASSIFICATION
    )
    torch.testing.assert_close(seen[0], torch.tensor([[[[0.0, 0.2, 1.0]]]]))


# --- attacked


def test_misclassified_examples_are_never_attacked(fake, linear):
    labels = linear.labels.clone()
    labels[[1, 4]] = 1 - labels[[1, 4]]
    attacked = []

    def perturb(images, labels, eps):
        attacked.append(images)
        return images + eps / 2

    attack = fake(perturb, eps=(0.001, 0.002))
    outcomes = evaluate_attacked(linear.model, linear.model, linear.images, labels, attack=attack, seed=0)
    others = torch.tensor([0, 2, 3, 5, 6, 7])
    assert torch.equal(attacked[0], linear.images[others] / 255)
    for outcome in outcomes:
        assert outcome.distance[[1, 4]].tolist() == [0, 0]
        assert not outcome.correct[[1, 4]].any()
        np.testing.assert_allclose(outcome.distance[others], outcome.eps / 2, rtol=1e-3)


def test_what_a_smaller_eps_broke_is_not_attacked_again(fake, linear):
    """The fake makes one image grey, which is of the other class."""
    grey = torch.full((1, 1, 6, 6), 0.5)
    chosen = (linear.labels != linear.model(grey).argmax()).nonzero()[0].item()
    attacked = []

    def perturb(images, labels, eps):
        attacked.append(len(images))
        is_chosen = (images == linear.images[chosen] / 255).flatten(1).all(1)
        return torch.where(is_chosen[:, None, None, None], grey, images)

    attack = fake(perturb, eps=(0.5, 0.6))
    arguments = linear.model, linear.model, linear.images, linear.labels
    first, second = evaluate_attacked(*arguments, attack=attack, seed=0)
    assert attacked == [8, 7]
    assert first.correct.tolist() == second.correct.tolist() == [i != chosen for i in range(8)]
    assert first.distance[chosen] == second.distance[chosen] > 0


def test_the_view_is_attacked_and_the_model_judges(linear):
    """Against a view that answers the opposite, the model is not fooled but confirmed."""
    opposite = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    opposite.load_state_dict({k: -v for k, v in linear.model.state_dict().items()})
    attack = attack_spec({"name": "fgsm", "eps": linear.grid("linf")})
    outcomes = evaluate_attacked(linear.model, opposite, linear.images, linear.labels, attack=attack, seed=0)
    assert all(outcome.correct.all() for outcome in outcomes)


LEAVING = {
    "the ball": (lambda images, eps: images + 1.01 * eps, 0.1, r"<= 0\.1 .* got 0\.101"),
    "the box below": (lambda images, eps: -images * 1e-9, 1.0, r"must hold, got .*, \[-"),
    "the box above": (lambda images, eps: images.clamp_min(1 + 1e-6), 1.0, r"must hold, got .*, 1\.0000009"),
    "the numbers": (lambda images, eps: images * torch.nan, 0.1, "must hold, got nan"),
}


@pytest.mark.parametrize(("perturb", "eps", "message"), LEAVING.values(), ids=LEAVING)
def test_an_attack_that_leaves_its_bounds_is_an_error(perturb, eps, message, fake, linear):
    attack = fake(lambda images, labels, eps: perturb(images, eps), eps=(eps,))
    with pytest.raises(RuntimeError, match=f"attack fake left its bounds: .*{message}"):
        evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0)


@pytest.mark.parametrize(("perturb", "eps", "message"), [row for name, row in LEAVING.items() if name != "the numbers"])
def test_transferred_examples_that_leave_their_bounds_are_an_error(perturb, eps, message, fake, linear):
    attack = fake(lambda images, labels, eps: images, eps=(eps,))
    crafted = {repr(eps): perturb(linear.images / 255, eps)}
    with pytest.raises(RuntimeError, match=f"attack fake left its bounds: .*{message}"):
        evaluate_transferred(linear.model, crafted, linear.images, linear.labels, attack=attack, judge=CLASSIFICATION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda x: x * 255, r"in \[0, 1\], got .* \(images in \[0, 255\]\? divide by 255\)", id="[0, 255]"),
        pytest.param(lambda x: x * torch.nan, r"in \[0, 1\], got \[nan, nan\]", id="not numbers"),
        pytest.param(lambda x: (x * 255).to(torch.uint8), r"floats in \[0, 1\], got uint8 \[8, 1, 6, 6\]", id="uint8"),
        pytest.param(lambda x: x[:, :, :, :5], r"\[B, 1, 6, 6\], got \[8, 1, 6, 5\]", id="size"),
        pytest.param(lambda x: x[:, 0], r"\[B, 1, 6, 6\], got \[8, 6, 6\]", id="no channels"),
    ],
)
def test_crafted_images_that_are_none_are_refused(change, message, fake, linear):
    attack = fake(lambda images, labels, eps: images, eps=(0.1,))
    crafted = {"0.1": change(linear.images / 255)}
    with pytest.raises(InputError, match=f"images must be {message}"):
        evaluate_transferred(linear.model, crafted, linear.images, linear.labels, attack=attack, judge=CLASSIFICATION)


EVALUATIONS = {
    "clean": lambda model, images, labels: evaluate_clean(model, images, labels, judge=CLASSIFICATION),
    "attacked": lambda model, images, labels: evaluate_attacked(
        model, model, images, labels, attack=attack_spec(PGD), seed=0
    ),
    "crafted": lambda model, images, labels: craft(
        model, images, labels, attack=attack_spec(PGD), seed=0, judge=CLASSIFICATION
    ),
    "transferred": lambda model, images, labels: evaluate_transferred(
        model, {}, images, labels, attack=attack_spec(PGD), judge=CLASSIFICATION
    ),
}


@pytest.mark.parametrize("evaluate", EVALUATIONS.values(), ids=EVALUATIONS)
@pytest.mark.parametrize(
    ("change", "got"),
    [
        pytest.param(lambda x: x / 255, r"float32 \[8, 1, 6, 6\]", id="floats"),
        pytest.param(lambda x: x[:, 0], r"uint8 \[8, 6, 6\]", id="no channels"),
    ],
)
def test_evaluation_starts_from_uint8_images_alone(evaluate, change, got, linear):
    with pytest.raises(InputError, match=rf"images must be uint8 \[N, C, H, W\] in 0\.\.255, got {got}"):
        evaluate(linear.model, change(linear.images), linear.labels)


def test_rounding_at_the_edge_of_the_ball_is_no_error(fake, linear):
    attack = fake(lambda images, labels, eps: images + eps * (1 + 1e-6), eps=(0.001, 0.1))
    assert len(evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0)) == 2


def test_a_model_that_is_always_wrong_is_evaluated(linear):
    attack = attack_spec(PGD)
    outcomes = evaluate_attacked(linear.model, linear.model, linear.images, 1 - linear.labels, attack=attack, seed=0)
    assert [outcome.correct.sum() for outcome in outcomes] == [0, 0, 0]


def test_outcomes_of_different_eps_share_no_memory(linear):
    first, *_, last = evaluate_attacked(
        linear.model, linear.model, linear.images, linear.labels, attack=attack_spec(PGD), seed=0
    )
    assert not np.shares_memory(first.distance, last.distance)
    assert not np.shares_memory(first.prediction, last.prediction)


def to_its_start(view, images, labels, *, eps, spec, goal, noise, stop_early):
    """An attack that ends where it starts, after a restart."""
    return images + eps * noise.draw(1)


@pytest.mark.parametrize("size", [1, 3, 256])
def test_each_example_has_its_own_start_whatever_its_batch(size, fake, linear, batches_of):
    batches_of(size)
    attack = fake(attack=to_its_start, eps=(1e-4,))
    noise = uniform_noise(torch.arange(8), (1, 6, 6), seed=9, stream=1)
    crafted = craft(linear.model, linear.images, linear.labels, attack=attack, seed=9, judge=CLASSIFICATION)
    assert torch.equal(crafted["0.0001"], linear.images / 255 + 1e-4 * noise)


@pytest.mark.parametrize("size", [1, 3, 256])
def test_an_examples_start_does_not_depend_on_which_others_are_attacked(size, fake, linear, batches_of):
    batches_of(size)
    attack = fake(attack=to_its_start, eps=(1e-4,))
    labels = linear.labels.clone()
    labels[[0, 4]] = 1 - labels[[0, 4]]
    (outcome,) = evaluate_attacked(linear.model, linear.model, linear.images, labels, attack=attack, seed=9)
    noise = uniform_noise(torch.arange(8), (1, 6, 6), seed=9, stream=1)
    expected = 1e-4 * noise.flatten(1).abs().amax(1)
    expected[[0, 4]] = 0
    np.testing.assert_allclose(outcome.distance, expected, atol=1e-7)
    assert len(set(outcome.distance.round(8))) > 4


# --- transferred


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_transfer_onto_its_own_linear_source_is_the_white_box_attack(norm, linear):
    """The direction is the same everywhere, so an attack that runs to its end breaks what an early stop breaks."""
    attack = attack_spec({"name": "fgsm", "norm": norm, "eps": linear.grid(norm)})
    crafted = craft(linear.model, linear.images, linear.labels, attack=attack, seed=0, judge=CLASSIFICATION)
    transferred = evaluate_transferred(
        linear.model, crafted, linear.images, linear.labels, attack=attack, judge=CLASSIFICATION
    )
    direct = evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0)
    assert [o.eps for o in transferred] == list(attack.eps)
    for there, here in zip(transferred, direct, strict=True):
        assert there.correct.tolist() == here.correct.tolist()


def test_every_example_is_crafted_even_what_the_source_gets_wrong(linear):
    wrong = 1 - linear.labels
    crafted = craft(linear.model, linear.images, wrong, attack=attack_spec(PGD), seed=0, judge=CLASSIFICATION)
    assert list(crafted) == ["0.005", "0.02", "0.05"]
    for eps, found in crafted.items():
        distance = (found - linear.images / 255).flatten(1).abs().amax(1)
        torch.testing.assert_close(distance, torch.full((8,), float(eps)), rtol=1e-3, atol=0)


@pytest.mark.parametrize("size", [1, 3])
def test_crafting_does_not_depend_on_the_batch_size(size, linear, batches_of):
    arguments = {"attack": attack_spec(PGD), "seed": 0}
    whole = craft(linear.model, linear.images, linear.labels, **arguments, judge=CLASSIFICATION)
    batches_of(size)
    parts = craft(linear.model, linear.images, linear.labels, **arguments, judge=CLASSIFICATION)
    for eps in whole:
        torch.testing.assert_close(whole[eps], parts[eps])


def test_a_transfer_target_is_judged_only_on_what_it_gets_right_clean(linear):
    """The target answers the opposite of the source: clean all wrong, so broken, and not perturbed."""
    attack = attack_spec(PGD)
    crafted = craft(linear.model, linear.images, linear.labels, attack=attack, seed=0, judge=CLASSIFICATION)
    for outcome in evaluate_transferred(
        linear.model, crafted, linear.images, 1 - linear.labels, attack=attack, judge=CLASSIFICATION
    ):
        assert not outcome.correct.any()
        assert outcome.distance.tolist() == [0.0] * 8


# --- an attack that looks for the nearest misclassified image


@pytest.fixture
def nearest(monkeypatch):
    """Register an attack that moves each image of the linear problem just over its boundary; count its runs."""
    runs = []

    def register(linear, eps):
        def craft(view, images, labels, *, eps, spec, goal, noise, stop_early):
            runs.append(len(images))
            images = images.detach().requires_grad_()
            logits = view(images)
            margin = logits.gather(1, labels[:, None])[:, 0] - logits.gather(1, 1 - labels[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(margin.sum(), images)
            size = 1.001 * margin / gradient.flatten(1).norm(dim=1) ** 2
            return (images - size[:, None, None, None] * gradient).detach()

        class NearestSpec(AttackSpec):
            name: str = "nearest"
            norm: str = "l2"

        monkeypatch.setitem(ATTACKS.added, "nearest", Attack(NearestSpec, craft, "iterative", minimises=True))
        return attack_spec({"name": "nearest", "eps": eps})

    return register, runs


def test_one_run_of_a_minimising_attack_gives_the_whole_curve(nearest, linear):
    register, runs = nearest
    attack = register(linear, linear.grid("l2"))
    outcomes = evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0)
    assert runs == [8]
    for outcome in outcomes:
        assert outcome.correct.tolist() == (linear.nearest["l2"] > outcome.eps).tolist()
        assert (outcome.distance <= outcome.eps).all()
    assert [o.queries for o in outcomes] == [8] + [0] * (len(outcomes) - 1)


def test_what_a_minimising_attack_crafts_is_drawn_back_into_the_ball(nearest, linear):
    attack = nearest[0](linear, linear.grid("l2")[:2])
    for eps, found in craft(
        linear.model, linear.images, linear.labels, attack=attack, seed=0, judge=CLASSIFICATION
    ).items():
        size = (found - linear.images / 255).flatten(1).norm(dim=1)
        expected = torch.minimum(1.001 * linear.nearest["l2"], torch.tensor(float(eps)))
        torch.testing.assert_close(size, expected, rtol=1e-4, atol=0)


# --- suites


SUITE = {"name": "suite", "eps": (0.1, 0.2), "attacks": [{"name": "fgsm"}, {"name": "pgd", "steps": 5}]}


def test_a_suite_gives_its_norm_and_eps_to_its_attacks():
    suite = attack_spec(SUITE | {"norm": "l2"})
    assert [(a.name, a.norm, a.eps) for a in suite.attacks] == [("fgsm", "l2", (0.1, 0.2)), ("pgd", "l2", (0.1, 0.2))]


def test_a_suite_of_suites_is_refused():
    with pytest.raises(InputError, match="must not be suites themselves"):
        attack_spec(SUITE | {"attacks": [SUITE]})


def test_a_suite_meets_a_model_with_the_attacks_on_views_that_it_has():
    suite = attack_spec(SUITE | {"attacks": [{"name": "fgsm"}, {"name": "pgd", "view": "bpda"}]})
    assert suite.seen_through({"default", "bpda"}) == suite
    assert [a.name for a in suite.seen_through({"default"}).attacks] == ["fgsm"]
    assert suite.seen_through({"static"}) is None


def test_each_attack_of_a_suite_meets_only_what_the_others_left(fake, linear):
    """Of eight examples FGSM breaks some; the fake, after it, sees the rest, and at the next eps what then remains."""
    seen = []

    def perturb(images, labels, eps):
        seen.append(len(images))
        return images

    after = fake(perturb, eps=linear.grid("linf")[::4])
    fgsm = attack_spec({"name": "fgsm", "eps": after.eps})
    threats = [(fgsm, linear.model), (after, linear.model)]
    outcomes = evaluate_suite(linear.model, threats, linear.images, linear.labels, seed=0, judge=CLASSIFICATION)
    alone = evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=fgsm, seed=0)
    assert seen == [n for n in (int(o.correct.sum()) for o in outcomes) if n]
    assert [o.correct.tolist() for o in outcomes] == [o.correct.tolist() for o in alone]


# --- models that draw


class Coin(nn.Module):
    """Right with probability `p` at each pass, whatever the image."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, images):
        right = (torch.rand(len(images)) < self.p).float()
        return torch.stack([1 - right, right], 1) + 0 * images.flatten(1)[:, :2]


def test_a_stochastic_model_is_judged_by_most_of_its_draws():
    torch.manual_seed(0)
    images = torch.zeros(400, 1, 6, 6, dtype=torch.uint8)
    clean = answers_of(Coin(0.8), images, judge=CLASSIFICATION)
    assert clean.draws == DRAWS
    assert clean.prediction.float().mean() > 0.9  # of five draws of .8, most are right .942 of the time


def test_a_deterministic_model_is_judged_once(linear):
    assert answers_of(linear.model, linear.images, judge=CLASSIFICATION).draws == 1


def test_clean_predictions_that_the_caller_has_are_not_made_again(fake, linear):
    passes = []

    class Watched(nn.Module):
        def forward(self, images):
            passes.append(len(images))
            return linear.model(images)

    clean = answers_of(linear.model, linear.images, judge=CLASSIFICATION)
    attack = fake(lambda images, labels, eps: images)
    evaluate_attacked(Watched(), linear.model, linear.images, linear.labels, attack=attack, seed=0, clean=clean)
    assert passes == [8]
