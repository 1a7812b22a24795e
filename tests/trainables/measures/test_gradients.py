import numpy as np
import pytest
import torch
from torch import nn

from trainables.judges import CLASSIFICATION
from trainables.measures import gradients, measured
from trainables.measures.registry import measure_spec


def measure(view, linear, **settings):
    return measured(
        view,
        linear.images,
        linear.labels,
        spec=measure_spec({"name": "gradients"} | settings),
        seed=0,
        judge=CLASSIFICATION,
    )


class Head(nn.Module):
    """Two classes whose logits are a function of the sum of the pixels."""

    def __init__(self, logits_of):
        super().__init__()
        self.logits_of = logits_of

    def forward(self, images):
        total = self.logits_of(images.flatten(1).sum(1))
        return torch.stack([total, -total], 1)


def test_norms_are_those_of_a_linear_models_gradient(linear):
    """d CE / d x = W^T (p - one-hot)."""
    weight, probability = linear.model[1].weight.detach(), linear.model(linear.images / 255).softmax(1).detach()
    expected = (probability - nn.functional.one_hot(linear.labels, 2)) @ weight
    found = measure(linear.model, linear)
    assert set(found) == {"l2_norm", "linf_norm", "zero", "vanishing"}
    np.testing.assert_allclose(found["l2_norm"], expected.norm(dim=1), rtol=1e-5)
    np.testing.assert_allclose(found["linf_norm"], expected.abs().amax(1), rtol=1e-5)
    assert not found["zero"].any()


@pytest.mark.parametrize("size", [1, 3])
def test_examples_are_independent_of_their_batch(size, linear, monkeypatch):
    whole = measure(linear.model, linear)
    monkeypatch.setattr(gradients, "BATCH", size)
    for name, value in measure(linear.model, linear).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-5)


@pytest.mark.parametrize(
    ("slope", "zero", "vanishing"),
    [
        pytest.param(1e-7, False, False, id="above the threshold"),
        pytest.param(1e-9, False, True, id="below it"),
        pytest.param(1e-30, False, True, id="whose square underflows"),
        pytest.param(0.0, True, True, id="zero"),
    ],
)
def test_vanishing_is_below_the_threshold_and_zero_is_exact(slope, zero, vanishing, linear):
    """At logits (0, 0) the gradient of cross-entropy is plus or minus the logits' own: half of twice the slope."""
    flat = Head(lambda total: slope * (total - total.detach()))
    found = measure(flat, linear)
    assert (found["zero"] == zero).all()
    assert (found["vanishing"] == vanishing).all()
    np.testing.assert_allclose(found["linf_norm"], slope, rtol=1e-5)
    np.testing.assert_allclose(found["l2_norm"], 6 * slope, rtol=1e-5)


def test_a_rounding_layer_has_no_gradient(linear):
    assert measure(nn.Sequential(Head(torch.round)), linear)["zero"].all()


def test_the_threshold_is_the_users(linear):
    found = measure(linear.model, linear, vanishing_below=1e9)
    assert found["vanishing"].all()
    assert not found["zero"].any()


def test_cross_entropy_of_a_sure_model_vanishes_and_its_margin_does_not(linear):
    sure = Head(lambda total: 100 * total)
    right = sure(linear.images / 255).argmax(1)
    spec = {"name": "gradients"}
    for loss, zero in (("cross_entropy", True), ("margin", False)):
        found = measured(
            sure, linear.images, right, spec=measure_spec(spec | {"loss": loss}), seed=0, judge=CLASSIFICATION
        )
        assert (found["zero"] == zero).all()


class Coin(nn.Module):
    """A linear model whose weights change sign with a coin's toss at each pass; `heads` writes the tosses down."""

    def __init__(self):
        super().__init__()
        self.heads = []

    def forward(self, images):
        sign = 1.0 if torch.rand(()) < 0.5 else -1.0
        if images.requires_grad:
            self.heads.append(sign)
        return Head(lambda total: 1e-3 * sign * total)(images)


def test_draws_of_a_stochastic_view_are_compared_by_their_direction(linear):
    torch.manual_seed(0)
    coin = Coin()
    found = measure(coin, linear, draws=7)
    assert len(coin.heads) == 7
    pairs = [a * b for i, a in enumerate(coin.heads) for j, b in enumerate(coin.heads) if i != j]
    np.testing.assert_allclose(found["draw_cosine"], np.mean(pairs), atol=1e-6)
    assert (found["l2_norm"] > 0).all()


def test_a_view_whose_every_draw_is_zero_has_no_direction(linear):
    torch.manual_seed(0)
    noise = Head(lambda total: torch.round(total) + torch.rand(len(total)))
    found = measure(noise, linear)
    assert found["zero"].all()
    assert found["draw_cosine"].tolist() == [0.0] * 8


def test_measuring_leaves_the_view_as_it_was(linear):
    view = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 2)).train()
    found = measure(view, linear)
    assert "draw_cosine" not in found  # held in evaluation mode, so nothing is dropped
    assert view.training
    assert all(p.requires_grad and p.grad is None for p in view.parameters())
