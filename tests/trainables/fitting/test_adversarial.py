"""Adversarial examples for training, against a linear model's closed forms and a network with BatchNorm and dropout."""

import itertools
from typing import get_args

import pytest
import torch
from torch import nn

from trainables.attacks.norms import NORMS
from trainables.fitting.adversarial import AdversarialConfig, perturbed

NORMS_TRAINED_ON = get_args(AdversarialConfig.model_fields["norm"].annotation)

CASES = [
    pytest.param(attack, norm, eps, id=f"{attack}-{norm}-{eps}")
    for attack, norm, eps in itertools.product(("fgsm", "pgd"), NORMS_TRAINED_ON, (0.02, 0.3, 1.0))
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Flatten(), nn.Linear(18, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5))
        return nn.Sequential(body, nn.Linear(12, 4)).train()


@pytest.fixture
def linear():
    """Two classes; the normal of the boundary points from class 0 to class 1."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = nn.Sequential(nn.Flatten(), nn.Linear(18, 2))
    return made, (made[1].weight[1] - made[1].weight[0]).detach()


def images(low=0.0, high=1.0, count=8):
    return low + (high - low) * torch.rand(count, 2, 3, 3, generator=generator(7))


def labels(classes=4, count=8):
    return torch.randint(0, classes, (count,), generator=generator(8))


@pytest.mark.parametrize(("attack", "norm", "eps"), CASES)
def test_attacked_images_stay_in_the_ball_and_the_box(attack, norm, eps, model):
    config = AdversarialConfig(attack=attack, norm=norm, eps=eps)
    attacked = perturbed(model, images(), labels(), config, generator())
    size = NORMS[norm].size(attacked - images())
    assert size.max() <= eps * (1 + 1e-5)
    assert size.min() > 0
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert not attacked.requires_grad


@pytest.mark.parametrize("random_start", [True, False], ids=["random start", "from the image"])
@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("norm", NORMS_TRAINED_ON)
def test_a_linear_model_is_attacked_along_its_normal(norm, attack, random_start, linear):
    """The worst point of the ball is -eps, for class 1, times the normal's steepest direction."""
    model, normal = linear
    config = AdversarialConfig(attack=attack, norm=norm, eps=0.2, steps=60, random_start=random_start)
    attacked = perturbed(model, images(0.3, 0.7), labels(2), config, generator())
    towards = (1 - 2 * labels(2)).float()[:, None] * normal
    expected = 0.2 * NORMS[norm].steepest(towards)
    torch.testing.assert_close((attacked - images(0.3, 0.7)).flatten(1), expected, rtol=1e-3, atol=1e-4)


def test_modes_gradients_and_statistics_are_left_as_they_were(model):
    model[0][3].eval()
    model[1].bias.requires_grad_(False)
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    perturbed(model, images(), labels(), AdversarialConfig(), generator())
    assert [module.training for module in model.modules()] == modes
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["1.bias"]
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_attacked_model_is_in_evaluation_mode(model):
    """Neither dropout nor another example of the batch changes what becomes of an example."""
    config = AdversarialConfig(random_start=False)
    together = perturbed(model, images(), labels(), config, generator())
    alone = [perturbed(model, images()[i : i + 1], labels()[i : i + 1], config, generator()) for i in range(8)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "drawn"),
    [
        pytest.param({}, True, id="random start"),
        pytest.param({"random_start": False}, False, id="from the image"),
        pytest.param({"attack": "fgsm"}, False, id="fgsm"),
        pytest.param({"attack": "fgsm", "eps": (0.1, 0.2)}, True, id="a range of eps"),
    ],
)
def test_the_generator_alone_decides_where_something_is_drawn(settings, drawn, model):
    config = AdversarialConfig(**{"steps": 2} | settings)
    used = generator(3)
    first = perturbed(model, images(), labels(), config, used)
    global_state = torch.get_rng_state()
    again = perturbed(model, images(), labels(), config, generator(3))
    assert torch.equal(global_state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert torch.equal(used.get_state(), generator(3).get_state()) == (not drawn)
    other = perturbed(model, images(), labels(), config, generator(4))
    assert torch.equal(first, other) == (not drawn)


def test_each_batch_draws_its_own_eps_from_the_range():
    config, draws = AdversarialConfig(eps=(0.1, 0.5)), generator()
    eps = torch.tensor([config.draw_eps(draws) for _ in range(2000)])
    assert 0.1 <= eps.min() < 0.11
    assert 0.49 < eps.max() <= 0.5
    assert eps.mean().item() == pytest.approx(0.3, abs=0.01)


def test_the_eps_that_was_drawn_is_the_size_of_the_perturbation(linear):
    model, _ = linear
    config, draws = AdversarialConfig(attack="fgsm", eps=(0.1, 0.25)), generator(5)
    for _ in range(3):
        expected = config.draw_eps(draws_copy(draws))
        attacked = perturbed(model, images(0.3, 0.7), labels(2), config, draws)
        size = NORMS["linf"].size(attacked - images(0.3, 0.7))
        torch.testing.assert_close(size, torch.full((8,), expected))


def draws_copy(draws):
    copied = torch.Generator()
    copied.set_state(draws.get_state())
    return copied


def test_a_fixed_eps_draws_nothing():
    draws = generator()
    assert AdversarialConfig(eps=0.25).draw_eps(draws) == 0.25
    assert torch.equal(draws.get_state(), generator().get_state())


def test_another_function_and_another_loss_can_be_raised(linear):
    """The loss is the first pixel of twice the image, whatever the model says."""
    model, _ = linear
    config = AdversarialConfig(attack="fgsm", eps=0.1)
    attacked = perturbed(
        model,
        images(0.3, 0.7),
        labels(2),
        config,
        generator(),
        loss=lambda output, target: output.flatten(1)[:, 0],
        of=lambda point: 2 * point,
    )
    moved = (attacked - images(0.3, 0.7)).flatten(1)
    torch.testing.assert_close(moved[:, 0], torch.full((8,), 0.1))
    assert moved[:, 1:].abs().max() == 0


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_a_given_start_takes_the_place_of_the_configs(attack):
    """Where the loss has no gradient an attack stays where it starts."""
    start = 0.05 * torch.ones(8, 2, 3, 3)
    nowhere = nn.Flatten()
    attacked = perturbed(
        nowhere,
        images(0.3, 0.7),
        labels(2),
        AdversarialConfig(attack=attack, eps=0.1),
        generator(),
        loss=lambda output, target: 0 * output.sum(1),
        start=start,
    )
    torch.testing.assert_close(attacked, images(0.3, 0.7) + start)


@pytest.mark.parametrize(
    "settings",
    [{"eps": 0}, {"eps": 8}, {"eps": (0.1, 2.0)}, {"steps": 0}, {"relative_step": 0}, {"attack": "cw"}],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        AdversarialConfig(**settings)
