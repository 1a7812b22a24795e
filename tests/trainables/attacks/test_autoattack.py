"""AutoAttack against closed forms, the library's own run and our other attacks."""

import functools
import logging

import pytest
import torch
from evaluated import evaluate_attacked, goal_of
from torch import nn

from trainables.attacks import ATTACKS
from trainables.attacks.autoattack import VERSIONS
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.registry import attack_spec
from trainables.errors import InputError
from trainables.images import as_float
from trainables.runtime.modes import held

pytestmark = pytest.mark.slow

COMPONENTS = sorted({*VERSIONS["standard"], *VERSIONS["rand"]})
DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}

every_norm = pytest.mark.parametrize("norm", DUAL)
# What is said of one norm's gradients in a minute of the suite is said of all in the slow tests.
one_norm_quickly = pytest.mark.parametrize(
    "norm", [norm if norm == "linf" else pytest.param(norm, marks=pytest.mark.slow) for norm in NORMS]
)
every_component = pytest.mark.parametrize("component", COMPONENTS)


def spec(**settings):
    return attack_spec({"name": "autoattack", "eps": [0.1]} | settings)


def broken(model, view, images, labels, attack):
    """Return [len(eps), N]: which examples the attack breaks."""
    return torch.stack(
        [torch.from_numpy(~o.correct) for o in evaluate_attacked(model, view, images, labels, attack=attack, seed=0)]
    )


@pytest.fixture(scope="module")
def examples(digits):
    return torch.from_numpy(digits.test.pixels[:24]), torch.from_numpy(digits.test.labels[:24])


@functools.cache
def linear_problem(classes):
    """Six grey images [6, 1, 6, 6], logits W x + b, and the distance [6] to the nearest other class by norm.

    No image is nearer to the bounds of [0, 1] than 0.35, and what the norms that spread have to move is less.
    """
    generator = torch.Generator().manual_seed(classes)
    images = torch.randint(90, 166, (6, 1, 6, 6), generator=generator, dtype=torch.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, classes))
    weight = torch.randn(classes, 36, generator=generator)
    bias = -weight @ (images.flatten(1) / 255).mean(0)
    model.load_state_dict({"1.weight": weight, "1.bias": bias})
    logits = model(images / 255).detach()
    labels = logits.argmax(1)
    gap = logits.gather(1, labels[:, None]) - logits
    between = weight[labels][:, None] - weight
    nearest = {}
    for norm in NORMS:
        size = between.norm(p=DUAL[norm], dim=2).scatter(1, labels[:, None], 1.0)
        nearest[norm] = (gap / size).scatter(1, labels[:, None], torch.inf).amin(1)
    assert max(nearest[norm].max() for norm in NORMS if norm != "l1") < 0.3
    return model, images, labels, nearest


@every_norm
@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_a_linear_model_is_broken_exactly_beyond_its_boundary_however_few_its_classes(classes, norm):
    model, images, labels, nearest = linear_problem(classes)
    ordered = nearest[norm].sort().values
    widest = (ordered[1:] / ordered[:-1]).argmax()
    eps = [0.95 * ordered[0], (ordered[widest] * ordered[widest + 1]).sqrt(), 1.05 * ordered[-1]]
    attack = spec(norm=norm, eps=[float(e) for e in eps], steps=20, queries=5)
    assert torch.equal(broken(model, model, images, labels, attack), nearest[norm] < torch.stack(eps)[:, None])


@every_norm
@pytest.mark.parametrize(
    ("component", "classes"),
    [("apgd-ce", 2), ("apgd-dlr", 2), ("apgd-t", 2), ("apgd-t", 5), ("fab-t", 2), ("fab-t", 5)],
)
def test_one_attack_alone_breaks_a_linear_model_beyond_its_boundary(component, classes, norm):
    """Of more than two classes, an attack without a target may climb towards one that is not the nearest."""
    model, images, labels, nearest = linear_problem(classes)
    attack = spec(norm=norm, eps=[1.05 * nearest[norm].max().item()], steps=40, attacks=[component])
    # The library's APGD in L1 misses the farthest of the six, with more steps too.
    least = 0.8 if norm == "l1" else 1.0
    assert broken(model, model, images, labels, attack).float().mean() >= least


# Images that each attack has the view classify for one unbreakable example: with the first pass, which ranks the
# classes, and for each run the one that judges it. APGD evaluates its start and every step; FAB, before its steps,
# the image twice, then each step's gradient and its result.
PASSES = {
    "apgd-ce": 1 + 1 * (101 + 1),
    "apgd-dlr": 1 + 1 * (101 + 1),
    "apgd-t": 1 + 2 * (101 + 1),
    "fab-t": 1 + 2 * (2 + 2 * 100 + 1),
    "square": 1 + 301 + 1,
}


class Sure(nn.Module):
    """Names class 0 of ten, by a margin that depends on the image a little."""

    def forward(self, images):
        order = torch.arange(10, 0, -1) + torch.zeros(len(images), 10)
        return order + 0.01 * images.flatten(1).sum(1, keepdim=True) * torch.linspace(0, 1, 10)


@pytest.mark.parametrize(("component", "passes"), PASSES.items(), ids=PASSES)
def test_each_attack_runs_all_its_steps(component, passes):
    model, image, label = Sure(), torch.full((1, 1, 5, 5), 127, dtype=torch.uint8), torch.tensor([0])
    attack = spec(attacks=[component], targets=2, queries=300)
    (outcome,) = evaluate_attacked(model, model, image, label, attack=attack, seed=0)
    assert outcome.correct.all()
    assert outcome.queries == passes


EPS = {"linf": 0.08, "l2": 0.8, "l1": 6.0}  # about half of the examples break
QUERIES = {"linf": 300, "l2": 300, "l1": 2000}  # of Square, which breaks next to nothing in L1 with few


def by_the_library(model, images, labels, component, norm):
    """Return which images [N] pyautoattack's own run breaks; one restart, one target, QUERIES."""
    from pyautoattack import AutoAttack

    library = AutoAttack(model, norm=norm.capitalize(), eps=EPS[norm], seed=0, attacks=[component], version="custom")
    library.logger = logging.Logger("silent", logging.CRITICAL)
    library.apgd.n_restarts, library.square.n_queries = 1, QUERIES[norm]
    library.apgd_targeted.n_target_classes = library.fab.n_target_classes = 1
    library.apgd.use_largereps = library.apgd_targeted.use_largereps = norm == "l1"
    library.apgd.logger = library.apgd_targeted.logger = library.logger
    with held(model), torch.random.fork_rng():
        found, _ = library.run_standard_evaluation(as_float(images), labels)
        return model(found).argmax(1) != labels


@one_norm_quickly
@every_component
def test_each_attack_breaks_what_the_librarys_own_run_breaks(component, norm, trained, examples):
    """But for the random draws, which differ: one example in sixteen."""
    model, images, labels = trained("none").defense.model, examples[0][:16], examples[1][:16]
    attack = spec(norm=norm, eps=[EPS[norm]], attacks=[component], restarts=1, targets=1, queries=QUERIES[norm])
    ours = broken(model, model, images, labels, attack)[0]
    library = by_the_library(model, images, labels, component, norm)
    assert 2 <= library.sum() <= 14
    assert (ours != library).sum() <= 1


@one_norm_quickly
@pytest.mark.parametrize("defense", ["none", "madry"])
@pytest.mark.parametrize(
    "settings",
    [{"steps": 15, "targets": 2, "queries": 20}, pytest.param({}, marks=pytest.mark.slow)],
    ids=["in short", "as published"],
)
def test_it_breaks_whatever_our_own_attacks_break(settings, defense, norm, trained, examples):
    model, eps = trained(defense).defense.model, [EPS[norm]]
    ensemble = broken(model, model, *examples, spec(norm=norm, eps=eps, **settings))
    for own in ("fgsm", "pgd"):
        alone = broken(model, model, *examples, attack_spec({"name": own, "norm": norm, "eps": eps}))
        assert (alone & ~ensemble).sum() <= 1
        assert alone.sum() <= ensemble.sum()


class Shaken(nn.Module):
    """A model behind Gaussian noise on its input."""

    def __init__(self, model, size):
        super().__init__()
        self.model, self.size = model, size

    def forward(self, images):
        return self.model(images + self.size * torch.randn_like(images))


def test_the_rand_version_breaks_what_pgd_over_the_same_draws_breaks(trained, examples):
    model = Shaken(trained("none").defense.model, 0.1)
    torch.manual_seed(0)
    settings = {"eps": [0.08], "steps": 10, "eot_samples": 10}
    ensemble = broken(model, model, *examples, spec(version="rand", **settings))
    pgd = broken(model, model, *examples, attack_spec({"name": "pgd", **settings}))
    assert 0.2 < ensemble.float().mean() < 0.9
    assert ensemble.sum() >= pgd.sum() - 1


def test_a_view_that_draws_is_its_own_whatever_square_draws(trained, examples):
    """Square's generator is seeded, and not as the attack is: else a view would draw what it drew before."""
    draws = []

    class Drawing(Shaken):
        def forward(self, images):
            draws.append(torch.rand(()).item())
            return super().forward(images)

    torch.manual_seed(0)
    model = Drawing(trained("none").defense.model, 0.0)
    evaluate_attacked(model, model, *examples, attack=spec(attacks=["square"], queries=5), seed=0)
    assert len(set(draws)) == len(draws)


def test_nothing_is_printed_or_logged(trained, examples, capfd, caplog):
    """Not even of zero gradients, which a check of ours reports."""
    caplog.set_level(logging.DEBUG)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(flat[1].weight)
    for model in (trained("none").defense.model, flat):
        broken(model, model, *examples, spec(steps=3, targets=2, queries=3, version="standard"))
        broken(model, model, *examples, spec(steps=3, version="rand"))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"attacks": VERSIONS["standard"], "restarts": 1, "eot_samples": 1}),
        ({"norm": "l1"}, {"attacks": VERSIONS["standard"], "restarts": 5, "eot_samples": 1}),
        ({"version": "rand"}, {"attacks": VERSIONS["rand"], "restarts": 1, "eot_samples": 20}),
        ({"version": "rand", "eot_samples": 5, "restarts": 2}, {"restarts": 2, "eot_samples": 5}),
        ({"attacks": ["square"]}, {"attacks": ("square",)}),
    ],
)
def test_the_settings_are_the_authors_unless_given(settings, expected):
    attack = spec(**settings)
    assert expected.items() <= attack.model_dump().items()
    assert attack_spec(attack.model_dump(mode="json")) == attack


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "dlr"}, "loss: input should be 'cross_entropy', got 'dlr'"),
        ({"version": "plus"}, "version: input should be 'standard' or 'rand', got 'plus'"),
        ({"attacks": []}, "attacks: tuple should have at least 1 item"),
        ({"attacks": ["fab"]}, "attacks.0: input should be 'apgd-ce', .*, got 'fab'"),
        ({"queries": 0}, "queries: input should be greater than 0, got 0"),
    ],
)
def test_a_wrong_setting_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        spec(**settings)


def test_what_is_misclassified_already_is_not_attacked(linear):
    found = ATTACKS["autoattack"].craft(
        linear.model,
        as_float(linear.images),
        1 - linear.labels,
        eps=0.1,
        spec=spec(),
        goal=goal_of(),
        noise=Noise(torch.arange(8), (1, 6, 6), seed=0),
        stop_early=False,
    )
    assert torch.equal(found, as_float(linear.images))
