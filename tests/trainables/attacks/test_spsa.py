import sys

import pytest
import torch
from attack_problems import Watched, craft, noise_of, wave_problem
from evaluated import goal_of
from torch import nn

import trainables.attacks.spsa  # noqa: F401, its name in the package is that of the attack
from trainables.attacks.criteria import CRITERIA
from trainables.attacks.registry import attack_spec

spsa = sys.modules["trainables.attacks.spsa"]


def estimate(model, images, labels, *, pairs, loss="margin", delta=0.01):
    attack = attack_spec({"name": "spsa", "eps": [0.1], "pairs": pairs, "loss": loss, "delta": delta})
    noise = noise_of(len(images), tuple(images.shape[1:]))
    return spsa._estimate(model, images, labels, goal_of(loss), noise, stream=1, spec=attack)


@pytest.mark.parametrize("loss", ["margin", "cross_entropy"])
def test_the_estimate_is_the_mean_of_differences_along_signs(loss):
    model, images, labels = wave_problem(3)
    found = estimate(model, images, labels, pairs=5, loss=loss, delta=0.02)
    function = CRITERIA[loss].loss
    for i, signs in enumerate(noise_of(3).signs(1, 5)):
        expected = torch.zeros(1, 2, 2)
        for v in signs:
            plus, minus = (function(model((images[i] + s * 0.02 * v)[None]), labels[i : i + 1]) for s in (1, -1))
            expected += (plus - minus) / 0.04 * v / 5
        torch.testing.assert_close(found[i], expected, atol=1e-4, rtol=1e-4)


def test_the_estimate_tends_to_the_gradient(linear):
    """Of a linear margin: w + noise of |w| / sqrt(pairs) an entry."""
    images = linear.images / 255
    found = estimate(linear.model, images, linear.labels, pairs=4096)
    normal = (linear.model[1].weight[1] - linear.model[1].weight[0]).detach()
    expected = torch.where(linear.labels == 1, -1, 1)[:, None] * normal
    error = (found.flatten(1) - expected).norm(dim=1) / (36**0.5 * normal.norm() / 4096**0.5)
    assert error.max() < 1.3


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_estimate_does_not_depend_on_how_queries_are_grouped(chunk, monkeypatch):
    model, images, labels = wave_problem(5)
    whole = estimate(model, images, labels, pairs=8)
    monkeypatch.setattr(spsa, "CHUNK", chunk)
    watched = Watched(model)
    torch.testing.assert_close(estimate(watched, images, labels, pairs=8), whole)
    assert max(len(seen) for seen in watched.seen) <= chunk


@pytest.mark.parametrize("random_start", [True, False])
def test_its_steps_are_adams(linear, monkeypatch, random_start):
    """torch's own Adam, on the gradient of a linear model, which the estimate is replaced by."""
    images, labels = linear.images / 255, linear.labels
    gradients = torch.randn(4, *images.shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(spsa, "_estimate", lambda *_, stream, **__: gradients[stream - 1])
    found = craft("spsa", linear.model, images, labels, eps=0.2, steps=4, lr=0.02, random_start=random_start)
    start = images + 0.2 * random_start * noise_of(8, (1, 6, 6)).draw(0)
    point = nn.Parameter(start.clone())
    adam = torch.optim.Adam([point], lr=0.02, maximize=True)
    for gradient in gradients:
        point.grad = gradient
        adam.step()
        point.data = images + (point.data - images).clamp(-0.2, 0.2)
    torch.testing.assert_close(found, point.data)


def test_it_needs_no_gradient():
    class Detached(nn.Module):
        def forward(self, images):
            assert not torch.is_grad_enabled()
            return model(images)

    model, images, labels = wave_problem(8)
    found = craft("spsa", Detached(), images, labels, eps=0.05, steps=3, pairs=8)
    assert (model(found).argmax(1) != labels).any()
