import numpy as np
import torch
from embedded import embedding, pixels

from trainables.judges import CLASSIFICATION
from trainables.measures import measured
from trainables.measures.registry import measure_spec
from trainables.runtime.modes import held


def units(view, images, **settings):
    spec = measure_spec({"name": "activation_units"} | settings)
    found = measured(view, images, torch.zeros(len(images), dtype=torch.long), spec=spec, seed=0, judge=CLASSIFICATION)
    return [found[name].item() for name in ("units", "nonzero_units", "pca_dimensions")]


def test_a_unit_that_is_not_zero_for_one_example_counts():
    images = pixels([0, 0, 0, 9], [0, 5, 0, 9], [0, 0, 0, 9])
    assert units(embedding(1, 1, 1, 1), images) == [4, 2, 1]
    assert units(embedding(1, 1, 1, 0), images) == [4, 1, 1]


def test_dimensions_are_those_that_explain_the_variance():
    """Independent units of standard deviations 10, 1 and .1: shares of the variance .9900, .0099 and .0001."""
    pairs = [[128 + 100 * a, 128 + 100 * b, 128 + 100 * c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    view = embedding(10.0, 1.0, 0.1)
    for variance, dimensions in ((0.5, 1), (0.989, 1), (0.991, 2), (0.99995, 3)):
        assert units(view, pixels(*pairs), variance=variance)[2] == dimensions


def test_turned_embeddings_have_as_many_dimensions(digits, trained):
    """PCA's count is that of the eigenvalues of the covariance, from numpy."""
    model = trained("none").defense.model
    images = torch.from_numpy(digits.test.pixels)
    with held(model):
        features = model.embed(images / 255).double().numpy()
    shares = np.linalg.eigvalsh(np.cov(features.T))[::-1]
    expected = int(np.searchsorted(shares.cumsum() / shares.sum(), 0.99) + 1)
    found = units(model, images)
    assert found == [features.shape[1], int((features != 0).any(0).sum()), expected]
    assert 1 < expected < features.shape[1]


def test_a_constant_embedding_needs_no_dimension():
    assert units(embedding(1, 1), pixels([7, 9], [7, 9], [7, 9])) == [2, 2, 0]
