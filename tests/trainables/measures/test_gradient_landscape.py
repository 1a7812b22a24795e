import numpy as np
import pytest
import torch
from torch import nn

from trainables.judges import CLASSIFICATION
from trainables.measures import gradient_landscape, measured
from trainables.measures.registry import measure_spec


def of(view, images, labels):
    return measured(
        view, images, labels, spec=measure_spec({"name": "gradient_landscape"}), seed=0, judge=CLASSIFICATION
    )


@pytest.fixture
def three():
    """A linear model of three classes on 2 x 2 pixels; of class 1 there is no example."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model.load_state_dict({"1.weight": torch.randn(3, 4, generator=generator), "1.bias": torch.zeros(3)})
    images = torch.randint(0, 256, (6, 1, 2, 2), generator=generator, dtype=torch.uint8)
    return model, images, torch.tensor([0, 0, 2, 0, 2, 2])


def test_entries_are_the_closed_form_of_a_linear_model(three):
    """d CE(f(x), j) / dx = W^T (p(x) - e_j)."""
    model, images, labels = three
    with torch.no_grad():
        weight, p = model[1].weight.double(), model(images / 255).softmax(1).double()
        sizes = torch.stack([((p - torch.eye(3)[j]) @ weight).norm(dim=1) for j in range(3)], 1)
    expected = np.log10(np.stack([sizes[labels == i].mean(0) for i in (0, 2)]))
    found = of(model, images, labels)["log_gradient"]
    np.testing.assert_allclose(found[[0, 2]], expected, rtol=1e-5)
    assert np.isnan(found[1]).all()


def test_own_and_other_are_means_over_the_pairs_that_have_examples(three):
    found = of(*three)
    mean, own = 10 ** found["log_gradient"], np.eye(3, dtype=bool)
    np.testing.assert_allclose(10 ** found["log_gradient_own"], np.nanmean(mean[own]))
    np.testing.assert_allclose(10 ** found["log_gradient_other"], np.nanmean(mean[~own]))
    assert found["log_gradient_own"].shape == ()


def test_it_does_not_depend_on_the_batch(three, monkeypatch):
    whole = of(*three)["log_gradient"]
    monkeypatch.setattr(gradient_landscape, "BATCH", 4)
    np.testing.assert_allclose(of(*three)["log_gradient"], whole, rtol=1e-6)


def test_a_flat_view_has_the_logarithm_of_zero(three):
    model, images, labels = three
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert of(model, images, labels)["log_gradient_other"] == -np.inf
