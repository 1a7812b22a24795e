import importlib

import pytest
import torch
from evaluated import goal_of
from torch import nn

from trainables.attacks.criteria import margin
from trainables.attacks.cw import CwSpec, cw
from trainables.attacks.noise import Noise
from trainables.runtime.modes import held

MODULE = importlib.import_module("trainables.attacks.cw")  # the package exports the function under the same name


class Watched(nn.Module):
    """A view that keeps what it is shown."""

    def __init__(self, model):
        super().__init__()
        self.model, self.shown = model, []

    def forward(self, images):
        self.shown.append(images.detach().clone())
        return self.model(images)


@pytest.fixture(scope="module")
def cnn(trained):
    return trained("none").defense.model


@pytest.fixture(scope="module")
def examples(digits):
    return torch.from_numpy(digits.test.pixels[:8]) / 255, torch.from_numpy(digits.test.labels[:8])


def search(view, images, labels, **settings):
    noise = Noise(torch.arange(len(images)), tuple(images.shape[1:]), seed=0)
    spec = CwSpec(eps=(0.1,), **settings)
    with held(view):
        return cw(view, images, labels, eps=0.1, spec=spec, goal=goal_of(), noise=noise, stop_early=True)


def test_a_fixed_c_is_adam_on_the_papers_objective(cnn, examples):
    """|x' - x|^2 + c max(z_y - max z_j + kappa, 0), by torch.optim and autograd through tanh."""
    image, label = examples[0][:1], examples[1][:1]
    view = Watched(cnn)
    search(view, image, label, steps=9, search_steps=1, initial_const=10.0, confidence=0.5, lr=0.05)
    w = torch.atanh((2 * image - 1) * 0.999999).requires_grad_()
    adam = torch.optim.Adam([w], lr=0.05)
    expected = [image]  # to see whether it stands
    for _ in range(10):
        x = (w.tanh() + 1) / 2
        expected.append(x.detach())
        loss = (x - image).square().sum() + 10 * (0.5 - margin(cnn(x), label)).clamp_min(0).sum()
        (w.grad,) = torch.autograd.grad(loss, w)
        adam.step()
    torch.testing.assert_close(torch.cat(view.shown), torch.cat(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("initial_const", [1e-4, 1e3])
def test_the_search_comes_to_the_least_c_from_below_and_from_above(initial_const, linear):
    images = linear.images / 255
    settings = {"steps": 100, "search_steps": 16, "lr": 0.005}
    found = search(linear.model, images, linear.labels, initial_const=initial_const, **settings)
    size = (found - images).flatten(1).norm(dim=1)
    torch.testing.assert_close(size, linear.nearest["l2"], rtol=0.03, atol=0)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_the_margin_exceeds_the_confidence(confidence, linear):
    images = linear.images / 255
    settings = {"steps": 100, "search_steps": 6, "lr": 0.02, "initial_const": 0.1}
    found = search(linear.model, images, linear.labels, confidence=confidence, **settings)
    reached = margin(linear.model(found), linear.labels)
    assert (reached > confidence).all()
    assert (reached < confidence + 0.1).all()


def test_an_example_stops_when_its_loss_falls_no_more_and_loses_next_to_nothing(cnn, examples, monkeypatch):
    settings = {"steps": 200, "search_steps": 3, "initial_const": 0.02}
    view = Watched(cnn)
    stopping = search(view, *examples, **settings)
    sizes = [len(shown) for shown in view.shown[1:]]
    monkeypatch.setattr(MODULE, "PROGRESS", torch.inf)
    view = Watched(cnn)
    going_on = search(view, *examples, **settings)
    assert len(view.shown) == 1 + 3 * 201
    assert sum(sizes) < 0.9 * 3 * 201 * sizes[0]
    assert len(set(sizes)) > 2
    near, nearest = ((found - examples[0]).flatten(1).norm(dim=1) for found in (stopping, going_on))
    assert near.mean() <= 1.001 * nearest.mean()
