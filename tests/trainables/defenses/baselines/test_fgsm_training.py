import pytest
import torch
from small_problems import batches_seen, examples, generator, linear_problem, normalised_network
from torch.nn.functional import softplus

from trainables.defenses.baselines.fgsm_training import FgsmTrainingConfig, mixed_loss


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_loss_of_a_linear_model_is_the_closed_form(alpha):
    """FGSM takes eps ||w||_1 from each margin (Goodfellow et al. 2015, Sec. 5)."""
    problem = linear_problem()
    config = FgsmTrainingConfig(alpha=alpha, attack={"attack": "fgsm", "eps": 0.2})
    loss = mixed_loss(problem.model, problem.images, problem.labels, config=config, generator=generator())
    clean, attacked = softplus(-problem.margin).mean(), softplus(0.2 * problem.dual - problem.margin).mean()
    torch.testing.assert_close(loss, alpha * clean + (1 - alpha) * attacked)


def test_both_halves_pass_batchnorm_as_one_batch():
    model = normalised_network().train()
    images, labels = examples()
    mixed_loss(model, images, labels, config=FgsmTrainingConfig(), generator=generator())
    assert batches_seen(model) == 1
    assert all(module.training for module in model.modules())


def test_the_defaults_are_goodfellows():
    config = FgsmTrainingConfig()
    assert (config.alpha, config.attack.attack, config.attack.norm) == (0.5, "fgsm", "linf")
