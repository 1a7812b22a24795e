import pytest
import torch
from small_problems import examples, generator, linear_problem, normalised_network, same_weights, trained
from torch.nn.functional import cross_entropy, softplus

from trainables.defenses.baselines.embedding_matching import EmbeddingMatching, EmbeddingMatchingConfig, matching_loss
from trainables.defenses.baselines.natural import Natural
from trainables.fitting.adversarial import perturbed


@pytest.mark.parametrize("weight", [0.0, 0.5, 4.0])
def test_the_loss_of_a_linear_model_is_the_closed_form(weight):
    """With E(x) = x and 16 pixels each moved by eps, the squared distance is 16 eps^2."""
    problem = linear_problem()
    config = EmbeddingMatchingConfig(weight=weight, attack={"eps": 0.1})
    loss = matching_loss(problem.model, problem.images, problem.labels, config=config, generator=generator())
    torch.testing.assert_close(loss, softplus(-problem.margin).mean() + weight * 16 * 0.1**2)


def test_the_gradient_flows_through_both_embeddings():
    model, (images, labels) = normalised_network().eval(), examples()
    config = EmbeddingMatchingConfig(weight=3.0, attack={"eps": 0.2})
    matching_loss(model, images, labels, config=config, generator=generator()).backward()
    got = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    attacked = perturbed(model, images, labels, config.attack, generator())
    distances = [(model.embed(x) - model.embed(y)).pow(2).sum() for x, y in zip(images[:, None], attacked[:, None])]  # noqa: B905
    (cross_entropy(model(images), labels) + 3.0 * sum(distances) / len(images)).backward()
    for gradient, parameter in zip(got, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_weight_0_is_natural_training_bit_for_bit(digits):
    natural, history = trained(Natural, digits)
    matched, same_history = trained(EmbeddingMatching, digits, weight=0)
    assert same_weights(matched, natural)
    assert same_history == history


def test_training_brings_attacked_embeddings_nearer(digits):
    """Relative to the embeddings' size, at the same attack."""
    attack = {"eps": 0.05, "steps": 3, "relative_step": 0.5}
    sensitivities = []
    for weight in (0, 1):
        defense, _ = trained(EmbeddingMatching, digits, count=None, epochs=3, width=4, weight=weight, attack=attack)
        images, labels = torch.from_numpy(digits.test.pixels[:100]) / 255, torch.from_numpy(digits.test.labels[:100])
        with torch.no_grad():
            clean = defense.model.embed(images)
        attacked = perturbed(defense.model, images, labels, defense.Config(attack=attack).attack, generator())
        with torch.no_grad():
            moved = defense.model.embed(attacked) - clean
        sensitivities.append((moved.norm(dim=1) / clean.norm(dim=1)).median())
    assert sensitivities[1] < 0.7 * sensitivities[0]
