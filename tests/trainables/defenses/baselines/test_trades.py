import pytest
import torch
from small_problems import (
    batches_seen,
    examples,
    generator,
    linear_problem,
    normalised_network,
    same_weights,
    trained,
)
from torch.nn.functional import one_hot

from trainables.defenses.baselines.natural import Natural
from trainables.defenses.baselines.trades import Trades, TradesConfig, diverging, kl_from, trades_loss
from trainables.runtime.modes import held


def naive_kl(p, q):
    """KL(p || q) [B] by its definition."""
    return torch.stack([sum(a * (a / b).log() for a, b in zip(x, y, strict=True)) for x, y in zip(p, q, strict=True)])


def test_the_divergence_is_that_of_its_definition():
    logits = torch.randn(2, 6, 4, generator=generator(), dtype=torch.float64)
    p, q = logits.softmax(2)
    torch.testing.assert_close(kl_from(p.log(), logits[1]), naive_kl(p, q))
    assert kl_from(p.log(), logits[0] + 5).abs().max() < 1e-12


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_formula(beta, smoothing):
    model, (images, labels) = normalised_network().eval(), examples()
    config = TradesConfig(beta=beta, label_smoothing=smoothing, attack={"eps": 0.2})
    loss = trades_loss(model, images, labels, config=config, generator=generator())
    attacked = diverging(model, images, config, generator())
    p, q = model(images).softmax(1), model(attacked).softmax(1)
    target = (1 - smoothing) * one_hot(labels, 3) + smoothing / 3
    expected = -(target * p.log()).sum(1).mean() + beta * naive_kl(p, q).mean()
    torch.testing.assert_close(loss, expected)
    grads = [torch.autograd.grad(value, list(model.parameters())) for value in (loss, expected)]
    for got, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(got, wanted)


def test_the_worst_point_of_a_linear_model_is_a_corner_of_the_ball():
    """KL(p || p') of two classes grows with |w . (x' - x)|, which is largest at x + eps sign(w) and x - eps sign(w)."""
    problem = linear_problem()
    moved = diverging(problem.model, problem.images, TradesConfig(attack={"eps": 0.1}), generator()) - problem.images
    normal = problem.model.head.weight[1] - problem.model.head.weight[0]
    along = (moved.flatten(1) * normal).sum(1)
    torch.testing.assert_close(along.abs(), (0.1 * problem.dual).expand(12))
    torch.testing.assert_close(moved.flatten(1), 0.1 * along.sign()[:, None] * normal.sign().expand(12, 16))


def test_labels_play_no_part_in_the_attack():
    """Both signs of the corner occur, whatever the labels: it is not the cross-entropy that is raised."""
    problem = linear_problem()
    moved = diverging(problem.model, problem.images, TradesConfig(attack={"eps": 0.1}), generator()) - problem.images
    signs = moved.flatten(1)[:, 0].sign() * (2 * problem.labels - 1)
    assert {-1.0, 1.0} == set(signs.tolist())


def test_attacked_images_stay_in_the_ball_and_the_box_and_diverge():
    model, (images, _) = normalised_network().train(), examples()
    attacked = diverging(model, images, TradesConfig(attack={"eps": 0.2}), generator())
    assert (attacked - images).abs().max() <= 0.2 + 1e-12
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    with held(model):
        log_p = model(images).log_softmax(1)
        assert kl_from(log_p, model(attacked)).min() > 1e-3


def test_the_attack_is_in_evaluation_mode_and_each_forward_pass_in_training_mode():
    model, (images, labels) = normalised_network().train(), examples()
    trades_loss(model, images, labels, config=TradesConfig(), generator=generator())
    assert batches_seen(model) == 2
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_start_decides_and_comes_from_the_generator():
    model, (images, _) = normalised_network().eval(), examples()
    config = TradesConfig(attack={"eps": 0.2, "steps": 1})
    first, again, other = (diverging(model, images, config, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_beta_0_is_natural_training_bit_for_bit(digits):
    natural, history = trained(Natural, digits)
    trades, same_history = trained(Trades, digits, beta=0)
    assert same_weights(trades, natural)
    assert same_history == history


def test_a_larger_beta_makes_predictions_agree_more_around_the_images(digits):
    attack = {"eps": 0.05, "steps": 3, "relative_step": 0.5}
    images = torch.from_numpy(digits.test.pixels[:100]) / 255
    divergences = []
    for beta in (0.1, 10):
        defense, _ = trained(Trades, digits, count=None, epochs=2, width=4, beta=beta, attack=attack)
        attacked = diverging(defense.model, images, TradesConfig(attack=attack), generator())
        with held(defense.model):
            divergences.append(kl_from(defense.model(images).log_softmax(1), defense.model(attacked)).mean())
    assert divergences[1] < 0.5 * divergences[0]
