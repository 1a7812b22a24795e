import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm
from torch import nn

from trainables.errors import InputError
from trainables.judges import CLASSIFICATION
from trainables.measures import measured
from trainables.measures.certification import CertificationSpec, certified_radius, lower_bound, predict
from trainables.measures.registry import measure_spec

ALPHA = 0.001


def certify(view, images, labels, *, seed=0, **settings):
    spec = measure_spec({"name": "certification", "samples": 2000, "sigma": 0.1} | settings)
    return measured(view, images, labels, spec=spec, seed=seed, judge=CLASSIFICATION)


class Threshold(nn.Module):
    """Class 1 if the first pixel is above `at`, of three classes."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def forward(self, images):
        above = images[:, 0, 0, 0] - self.at
        return torch.stack([-above, above, torch.full_like(above, -9.0)], 1)


# --- against scipy and closed forms


@pytest.mark.parametrize("samples", [10, 100, 50_000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_the_lower_bound_is_scipys_exact_one(samples, share):
    """One-sided at alpha, which is the lower end of the two-sided interval at 2 alpha."""
    count = round(share * samples)
    low = binomtest(count, samples).proportion_ci(1 - 2 * ALPHA, method="exact").low
    assert lower_bound(np.array([count]), samples, ALPHA)[0] == pytest.approx(low, rel=1e-9)


@pytest.mark.parametrize(("sigma", "cap"), [(0.1, 0.364), (0.2, 0.727), (0.3, 1.091)])
def test_no_radius_is_above_the_cap_of_the_samples(sigma, cap):
    """rbf_cnn's Table VI has 0.0 at L2 1.0 with tau .2 and 50,000 samples: it could be nothing else."""
    spec = CertificationSpec(sigma=sigma, samples=50_000)
    radius = certified_radius(np.array([50_000, 49_999]), spec)
    assert radius[0] == pytest.approx(cap, abs=5e-4)
    assert radius[0] == pytest.approx(sigma * norm.ppf(ALPHA ** (1 / 50_000)))
    assert radius[1] < radius[0]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([0, 11], 1, id="11 of 11: p = 2 / 2^11 < .001"),
        pytest.param([0, 10], -1, id="10 of 10: p = 2 / 2^10 > .001"),
        pytest.param([11, 0, 0], 0, id="a third class"),
        pytest.param([50, 50], -1, id="a tie"),
        pytest.param([0, 0, 60, 20, 20], 2, id="the second best decides"),
    ],
)
def test_predict_abstains_unless_the_best_class_beats_the_second(counts, expected):
    assert predict(np.array(counts), alpha=ALPHA) == expected


def test_a_linear_models_radius_is_just_below_its_distance_to_the_boundary(linear):
    """Of a half-space the smoothed class's probability is Phi(d / sigma), so the exact radius is d."""
    found = certify(linear.model, linear.images, linear.labels, samples=20_000, batch=4000)
    distance = linear.nearest["l2"].numpy()
    assert (found["radius"] <= distance).all()
    np.testing.assert_allclose(found["radius"], distance, rtol=0.1)
    assert not found["abstained"].any()
    assert found["right"].all()


# --- what is returned


def test_certified_at_eps_is_a_radius_of_at_least_eps(linear):
    found = certify(linear.model, linear.images, linear.labels, eps=(0.05, 0.1, 0.15))
    for eps in (0.05, 0.1, 0.15):
        assert found[f"certified_at_{eps}"].tolist() == (found["radius"] >= eps).tolist()
    shares = [found[f"certified_at_{eps}"].mean() for eps in (0.05, 0.1, 0.15)]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0]


def test_what_is_certified_for_another_class_is_not_certified_right(linear):
    found = certify(linear.model, linear.images, 1 - linear.labels)
    assert found["radius"].tolist() == [0.0] * 8
    assert not found["abstained"].any()
    assert not (found["right"] | found["undecided"] | found["certified_at_0.25"]).any()


def test_on_the_boundary_nothing_is_decided(linear):
    images = torch.full((2, 1, 6, 6), 128, dtype=torch.uint8)
    found = certify(Threshold(128 / 255), images, torch.ones(2, dtype=torch.long))
    assert found["abstained"].all()
    assert found["undecided"].all()
    assert not found["right"].any()


def test_one_seed_gives_one_certificate_whatever_examples_follow(linear):
    whole = certify(linear.model, linear.images, linear.labels)
    part = certify(linear.model, linear.images[:3], linear.labels[:3])
    other = certify(linear.model, linear.images, linear.labels, seed=1)
    assert whole["radius"][:3].tolist() == part["radius"].tolist()
    assert whole["radius"].tolist() != other["radius"].tolist()


def test_samples_that_the_batch_does_not_divide_are_all_drawn():
    seen = []

    class Watched(Threshold):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    images = torch.full((1, 1, 6, 6), 255, dtype=torch.uint8)
    found = certify(Watched(0.0), images, torch.tensor([1]), samples=25, selection_samples=3, batch=10)
    assert seen[-4:] == [3, 10, 10, 5]
    assert found["radius"][0] == pytest.approx(0.1 * norm.ppf(ALPHA ** (1 / 25)))


# --- what is refused


class Coin(nn.Module):
    def forward(self, images):
        return torch.rand(len(images), 2)


class Transductive(nn.Module):
    def forward(self, images):
        flat = images.flatten(1)[:, :2]
        return flat - flat.mean(0)


@pytest.mark.parametrize("view", [Coin(), Transductive()], ids=["that draws", "that looks across its batch"])
def test_samples_that_are_not_independent_are_refused(view, linear):
    with pytest.raises(InputError, match="classifies each image by itself and every time alike"):
        certify(view, linear.images, linear.labels)
