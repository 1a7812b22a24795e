"""The discriminator's norms, the one way that labels take into it, and the three losses against their formulas."""

import math

import pytest
import torch
from torch import nn

from trainables.defenses.afd.discriminator import GAN_LOSSES, SLOPE, ProjectionDiscriminator

D, CLASSES, HIDDEN, B = 6, 4, 9, 32


def discriminator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ProjectionDiscriminator(D, CLASSES, hidden=HIDDEN)


def examples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, D, generator=generator), torch.randint(0, CLASSES, (B,), generator=generator)


def normed(made):
    return {name: layer.weight for name, layer in made.named_modules() if isinstance(layer, nn.Linear | nn.Embedding)}


def test_it_is_two_layers_and_a_projection():
    made = discriminator().eval().double()
    (h, y), weight = examples(), normed(made)
    h = h.double()
    for name in ("trunk.0", "trunk.2"):
        h = h @ weight[name].T + made.get_submodule(name).bias
        h = torch.where(h > 0, h, SLOPE * h)
    expected = [
        weight["output"][0] @ row + made.output.bias[0] + weight["embedding"][label] @ row
        for row, label in zip(h, y, strict=True)
    ]
    torch.testing.assert_close(made(examples()[0].double(), y), torch.stack(expected))


def test_every_layer_has_a_spectral_norm_of_1_after_some_steps():
    """To 5 %: one power iteration a step lags behind weights that move."""
    made = discriminator()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.05)
    h, y = examples()
    before = made.trunk[0].parametrizations.weight.original.clone()
    for _ in range(30):
        optimizer.zero_grad()
        made(h, y).mean().backward()
        optimizer.step()
    made(h, y)
    made.eval()
    assert (made.trunk[0].parametrizations.weight.original - before).norm() > 0.01
    assert set(normed(made)) == {"trunk.0", "trunk.2", "output", "embedding"}
    for name, weight in normed(made).items():
        assert torch.linalg.svdvals(weight).max().item() == pytest.approx(1, abs=0.05), name


def test_a_weight_may_grow_without_its_layer():
    made = discriminator().eval()
    h, y = examples()
    before = made(h, y)
    with torch.no_grad():
        for layer in (made.trunk[0], made.output, made.embedding):
            layer.parametrizations.weight.original.mul_(7)
    torch.testing.assert_close(made(h, y), before)


@pytest.mark.parametrize("rows", ["zero", "equal"])
def test_labels_reach_it_through_their_embedding_only(rows):
    made, (h, _) = discriminator().eval(), examples()
    scores = torch.stack([made(h, torch.full((B,), label)) for label in range(CLASSES)])
    assert scores.std(0).min() > 1e-3
    made.embedding = nn.Embedding(CLASSES, HIDDEN)
    nn.init.constant_(made.embedding.weight, 0 if rows == "zero" else 0.3)
    scores = torch.stack([made(h, torch.full((B,), label)) for label in range(CLASSES)])
    assert torch.equal(scores, scores[:1].expand_as(scores))


def test_an_examples_score_does_not_depend_on_its_batch():
    made, (h, y) = discriminator().eval(), examples()
    alone = torch.cat([made(h[i : i + 1], y[i : i + 1]) for i in range(B)])
    torch.testing.assert_close(made(h, y), alone)


# --- the three losses


def softplus(x):
    return math.log1p(math.exp(x))


FORMULAS = {
    "softplus": (lambda c, a: softplus(-c) + softplus(a), lambda a: softplus(-a)),
    "wgan": (lambda c, a: a - c, lambda a: -a),
    "hinge": (lambda c, a: max(0, 1 - c) + max(0, 1 + a), lambda a: -a),
}


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_losses_are_their_formulas(name):
    clean, attacked = (2 * torch.randn(50, dtype=torch.float64) for _ in range(2))
    of_discriminator, of_encoder = FORMULAS[name]
    pairs = zip(clean.tolist(), attacked.tolist(), strict=True)
    loss = GAN_LOSSES[name]
    assert loss.discriminator(clean, attacked).item() == pytest.approx(sum(of_discriminator(*p) for p in pairs) / 50)
    assert loss.encoder(attacked).item() == pytest.approx(sum(map(of_encoder, attacked.tolist())) / 50)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_the_players_pull_the_score_of_attacked_images_in_opposite_directions(name):
    clean = torch.zeros(3)
    for score in (-0.5, 0.5):
        attacked = torch.full((3,), score, requires_grad=True)
        (of_discriminator,) = torch.autograd.grad(GAN_LOSSES[name].discriminator(clean, attacked), attacked)
        (of_encoder,) = torch.autograd.grad(GAN_LOSSES[name].encoder(attacked), attacked)
        assert (of_discriminator > 0).all()
        assert (of_encoder < 0).all()
