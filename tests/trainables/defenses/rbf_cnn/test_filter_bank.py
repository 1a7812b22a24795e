"""The filter bank against float64 loops over patches, linear programming and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch.nn.functional import conv2d, unfold

from trainables.defenses.rbf_cnn.filter_bank import (
    EmConfig,
    FilterBank,
    Filters,
    assembled,
    fit_filters,
    next_alpha,
    observed,
    scores,
)

SHAPES = [(1, 7, 6), (3, 5, 5)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["grey", "RGB"])


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filters_for(channels, count=6, seed=1, dtype=torch.float32):
    """Filters with variances as fitted ones have, .01 to about .7."""
    return Filters(
        random(count, 9 * channels, seed=seed, dtype=dtype), 0.01 + 0.7 * random(count, seed=seed + 1, dtype=dtype)
    )


def bank_of(filters, channels):
    bank = FilterBank(channels)
    bank.hold(filters)
    return bank


def patches_of(image):
    """Every 3x3 patch of an image [C, H, W] as a float64 vector, row by row."""
    image = image.double().numpy()
    rows, columns = image.shape[1] - 2, image.shape[2] - 2
    return [image[:, y : y + 3, x : x + 3].reshape(-1) for y in range(rows) for x in range(columns)]


def naive_scores(image, filters):
    """s_j of each patch, [K, L], Eq. 2 without log sqrt(2 pi), from differences in float64."""
    mu, sigma2 = filters.mu.double().numpy(), filters.sigma2.double().numpy()
    return np.array(
        [
            [-((z - m) ** 2).sum() / (2 * v) - np.log(v) / 2 for z in patches_of(image)]
            for m, v in zip(mu, sigma2, strict=True)
        ]
    )


@shapes
def test_scores_are_a_float64_loops_within_2e_5(shape):
    images, filters = random(3, *shape), filters_for(shape[0])
    ours = scores(observed(images), filters).double().numpy()
    expected = np.stack([naive_scores(image, filters) for image in images])
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-5)


@shapes
def test_scores_are_those_of_convolutions(shape):
    images, filters = random(3, *shape, dtype=torch.float64), filters_for(shape[0], dtype=torch.float64)
    mu, sigma2 = filters.mu.unflatten(1, (-1, 3, 3)), filters.sigma2[:, None, None]
    squares = conv2d(images.square(), torch.ones(1, shape[0], 3, 3, dtype=torch.float64))
    expected = (2 * conv2d(images, mu) - squares - mu.square().sum((1, 2, 3))[:, None, None]) / (2 * sigma2)
    torch.testing.assert_close(scores(observed(images), filters), (expected - sigma2.log() / 2).flatten(2))


@pytest.mark.parametrize("floor", [1e-4, 1e-20])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_exact_match_of_a_floored_filter_scores_its_peak(value, floor):
    """In float32 no rounding is left of |z - mu|^2 where a background meets its own filter."""
    filters = Filters(torch.full((1, 27), value), torch.tensor([floor]))
    found = scores(observed(torch.full((2, 3, 5, 5), value)), filters)
    torch.testing.assert_close(found, torch.full_like(found, -math.log(floor) / 2))


@shapes
def test_no_rounding_lifts_a_score_above_its_filters_peak(shape):
    """Filters that are the image's own patches, with the authors' floor: |z - mu|^2 is rounding alone."""
    images = random(1, *shape)
    mu = unfold(images, 3)[0].T
    found = scores(observed(images), Filters(mu, torch.full((len(mu),), 1e-20)))
    assert found.max() <= -math.log(1e-20) / 2 + 1e-4


@shapes
def test_weights_are_the_softmax_of_sigmoids_and_sum_to_one(shape):
    images, filters = random(2, *shape), filters_for(shape[0])
    weights = bank_of(filters, shape[0]).weights(images, 25.0)
    torch.testing.assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    v = 1 / (1 + np.exp(-np.stack([naive_scores(image, filters) for image in images])))
    expected = np.exp(25 * v) / np.exp(25 * v).sum(1, keepdims=True)
    np.testing.assert_allclose(weights.numpy(), expected, atol=1e-4)


@shapes
def test_a_large_beta1_picks_the_best_filter_and_zero_the_mean_filter(shape):
    """Near its filters, where sigmoids of different scores differ."""
    filters = filters_for(shape[0])
    images = filters.mu.mean() + 0.1 * (random(2, *shape) - 0.5)
    bank = bank_of(filters._replace(sigma2=filters.sigma2 + 1), shape[0])
    best = torch.stack([torch.from_numpy(naive_scores(i, Filters(bank.mu, bank.sigma2)).argmax(0)) for i in images])
    size = shape[1:]
    picked = assembled(torch.nn.functional.one_hot(best, len(bank)).mT.float(), bank.mu, size)
    torch.testing.assert_close(bank.reconstructed(images, 1e6), picked, atol=1e-4, rtol=0)
    mean = assembled(torch.ones(2, 1, best.shape[1]), bank.mu.mean(0, keepdim=True), size)
    torch.testing.assert_close(bank.reconstructed(images, 0.0), mean)


def test_a_perturbation_moves_scores_and_weights_no_more_than_its_size_allows():
    """What bounds the defense, derived here from Eq. 2 and 3, as the paper's Claim 1 does in a form of its own.

    |s' - s| <= (2 |z - mu| |d| + |d|^2) / (2 sigma^2), of which a sigmoid passes on a quarter, and a softmax of
    beta1 v moves no log w by more than twice beta1 times the largest move of a v.
    """
    beta1, filters = 25.0, filters_for(1, dtype=torch.float64)
    bank = FilterBank(1).double()
    bank.hold(filters)
    images = random(4, 1, 6, 6, dtype=torch.float64)
    for eps in (1e-3, 0.03, 0.3):
        moved = (images + eps * (2 * random(4, 1, 6, 6, seed=7, dtype=torch.float64) - 1)).clamp(0, 1)
        z, d = unfold(images, 3)[:, None], unfold(moved - images, 3).norm(dim=1)[:, None]
        distance = (z - filters.mu[..., None]).norm(dim=2)
        bound = (2 * distance * d + d**2) / (2 * filters.sigma2[:, None])
        change = (scores(observed(moved), filters) - scores(observed(images), filters)).abs()
        assert (change <= bound * (1 + 1e-9) + 1e-9).all()
        ratio = (bank.weights(moved, beta1) / bank.weights(images, beta1)).log().abs()
        assert (ratio <= 2 * beta1 * (bound / 4).clamp_max(1).amax(1, keepdim=True) + 1e-9).all()
        assert (change > 0.2 * bound).any()  # the bound is not idle


def test_every_rebuilt_patch_lies_in_the_convex_hull_of_the_filters():
    """A linear program finds non-negative weights of sum 1 that give each patch; a point outside has none."""
    filters = filters_for(1, count=7, dtype=torch.float64)
    bank = bank_of(filters, 1).double()
    bank.hold(filters)
    rebuilt = (bank.mu.T @ bank.weights(random(1, 1, 6, 6, dtype=torch.float64), 25.0))[0]
    equations = np.vstack([bank.mu.numpy().T, np.ones(7)])

    def in_hull(patch):
        return linprog(np.zeros(7), A_eq=equations, b_eq=np.append(patch, 1.0), bounds=(0, None)).success

    assert all(in_hull(patch.numpy()) for patch in rebuilt.T)
    assert not in_hull(filters.mu.amax(0).numpy() + 0.01)


@shapes
def test_reconstruction_is_a_loop_that_adds_patches_and_divides_by_their_number(shape):
    images, bank = random(2, *shape), bank_of(filters_for(shape[0]), shape[0])
    weights = bank.weights(images, 25.0)
    total, number = np.zeros((2, *shape)), np.zeros(shape)
    places = [(y, x) for y in range(shape[1] - 2) for x in range(shape[2] - 2)]
    for place, (y, x) in enumerate(places):
        number[:, y : y + 3, x : x + 3] += 1
        for n in range(2):
            patch = weights[n, :, place].double().numpy() @ bank.mu.double().numpy()
            total[n, :, y : y + 3, x : x + 3] += patch.reshape(-1, 3, 3)
    np.testing.assert_allclose(bank.reconstructed(images, 25.0).numpy(), total / number, atol=1e-6)


@shapes
def test_an_image_whose_patches_are_chosen_exactly_is_reproduced(shape):
    image = random(1, *shape)
    mu = unfold(image, 3)[0].T
    torch.testing.assert_close(assembled(torch.eye(len(mu))[None], mu, shape[1:]), image)


def test_images_of_their_own_patches_come_back_through_the_scores_too():
    """With every patch a filter of small variance and a sharp softmax, R is the image."""
    image = random(1, 1, 6, 6)
    mu = unfold(image, 3)[0].T
    bank = bank_of(Filters(mu, torch.full((len(mu),), 1e-4)), 1)
    torch.testing.assert_close(bank.reconstructed(image, 1e3), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("scale", "power"), [("variance", 1.0), ("std", 0.5)])
def test_noise_of_a_filter_has_the_scale_that_is_asked_for(scale, power):
    bank = bank_of(Filters(torch.full((2, 20_000), 0.5), torch.tensor([0.04, 0.25])), 1)
    torch.manual_seed(0)
    noise = bank.noisy_mu(1.75, scale) - bank.mu
    torch.testing.assert_close(noise.std(1), 1.75 * bank.sigma2**power, rtol=0.03, atol=0)
    torch.testing.assert_close(noise.mean(1), torch.zeros(2), atol=0.02, rtol=0)
    assert not torch.equal(noise, bank.noisy_mu(1.75, scale) - bank.mu)


def test_a_state_with_another_number_of_filters_is_loaded():
    bank, fresh = bank_of(filters_for(1, count=5), 1), torch.nn.Sequential(FilterBank(1))
    fresh.load_state_dict({f"0.{name}": tensor for name, tensor in bank.state_dict().items()})
    assert len(fresh[0]) == 5
    assert torch.equal(fresh[0].mu, bank.mu)
    assert torch.equal(fresh[0].sigma2, bank.sigma2)


def naive_em(windows, config):
    """The algorithm, patch by patch in float64, from lists of each filter's patches."""
    mus, variances, alpha = np.empty((0, 9 * windows.shape[2])), np.empty(0), 1.0
    for number, images in enumerate(windows):
        creating = alpha > 0 and (config.creation_m_steps is None or number < config.creation_m_steps)
        members = [[] for _ in range(len(mus) + 1)]
        for z in (z for image in images for z in patches_of(image)):
            found = -((z - mus) ** 2).sum(1) / (2 * variances) - np.log(variances) / 2
            new = creating and max(found, default=-math.inf) < math.log(alpha) - 2.5
            members[len(mus) if new else found.argmax()].append(z)
        share = len(members[-1]) / sum(map(len, members))
        kept = [m for m in members[:-1] if len(m) > 1]
        if len(members[-1]) > 1 and share > 0.001:
            kept.append(members[-1])
        mus = np.array([np.mean(m, 0) for m in kept])
        squares = np.array([np.mean([z @ z for z in m]) for m in kept])
        variances = np.maximum(squares - (mus**2).sum(1), config.sigma2_floor)
        if creating:
            falling = 1 / ((1 + np.exp(len(mus) / config.k_star)) * (1 + np.exp(min(share / 0.001, 700.0))))
            alpha += 0.6913 * falling - 0.05
    return mus, variances


@pytest.mark.parametrize("floor", [1e-4, 1e-20])
@pytest.mark.parametrize("creation", [None, 60])
@pytest.mark.parametrize("channels", [1, 3])
def test_em_gives_the_filters_of_a_loop_over_patches(digits, floor, creation, channels):
    """Their number, order, centres and variances after 80 M-steps of 2 small images each.

    One patch in another filter would move a centre by far more than the tolerance.
    """
    config = EmConfig(sigma2_floor=floor, creation_m_steps=creation, k_star=4)
    pixels = torch.from_numpy(digits.train.pixels[: 160 * channels, :, ::3, ::3]).double() / 255
    windows = pixels.reshape(80, 2, channels, 10, 10)
    ours = fit_filters(windows, config)
    mus, variances = naive_em(windows, config)
    assert len(ours.mu) == len(mus) >= 3
    np.testing.assert_allclose(ours.mu.numpy(), mus, atol=1e-12)
    np.testing.assert_allclose(ours.sigma2.numpy(), variances, rtol=1e-9, atol=1e-13)


def test_em_in_float32_ends_near_em_in_float64(digits):
    config = EmConfig(k_star=4)
    windows = (torch.from_numpy(digits.train.pixels[:160]).double() / 255).split(16)
    single, double = (fit_filters([w.to(dtype) for w in windows], config) for dtype in (torch.float32, torch.float64))
    assert single.mu.dtype == torch.float32
    torch.testing.assert_close(single.mu.double(), double.mu, atol=1e-3, rtol=0)
    torch.testing.assert_close(single.sigma2.double(), double.sigma2, atol=1e-3, rtol=0)


def test_em_starts_from_the_mean_patch_and_its_total_variance():
    images = random(4, 1, 8, 8, dtype=torch.float64)
    patches = unfold(images, 3).transpose(1, 2).reshape(-1, 9)
    filters = fit_filters([images], EmConfig())
    torch.testing.assert_close(filters.mu, patches.mean(0, keepdim=True))
    torch.testing.assert_close(filters.sigma2, patches.var(0, correction=0).sum()[None])


def test_em_finds_separate_clusters():
    """Flat images of three grey levels, each a little noisy: at the end every level has a filter."""
    levels = torch.tensor([0.0, 0.3, 1.0])
    noise = 0.01 * torch.randn(200, 3, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    filters = fit_filters(levels[:, None, None, None] + noise, EmConfig(k_star=4))
    for level in levels:
        at = (filters.mu - level).abs().amax(1).argmin()
        torch.testing.assert_close(filters.mu[at], level.expand(9), atol=0.03, rtol=0)


def test_no_m_step_adds_more_than_one_filter_and_none_after_creation_ended(digits):
    windows = (torch.from_numpy(digits.train.pixels[:200, :, ::2, ::2]).float() / 255).split(3)
    counts = [len(fit_filters(windows[:n], EmConfig(creation_m_steps=50)).mu) for n in range(1, 61)]
    steps = np.diff(counts)
    assert counts[0] == 1
    assert steps.max() == 1
    assert counts[49] >= 3
    assert steps[49:].max() <= 0


def test_alpha_rises_by_the_formula_and_does_not_overflow():
    expected = 0.5 + 0.6913 / ((1 + math.exp(0.7)) * (1 + math.exp(0.4))) - 0.05
    assert next_alpha(0.5, filters=7, share=4e-4, k_star=10) == pytest.approx(expected, rel=1e-12)
    assert next_alpha(0.5, filters=7, share=1.0, k_star=10) == pytest.approx(0.45, abs=1e-12)


@pytest.mark.parametrize(("earlier", "expected"), [(15, 2), (25, 1)])
def test_alpha_at_zero_ends_creation_for_good(earlier, expected):
    """With a tiny K* alpha falls by .05 an M-step, so that a new kind of patch is too late after 20 of them."""
    black, white = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    config = EmConfig(k_star=1e-3, creation_m_steps=None)
    assert len(fit_filters([black] * earlier + [torch.cat([black, white])] * 2, config).mu) == expected


@pytest.mark.parametrize(("images", "expected"), [(60_000, 750), (37_500, 750), (1_000, 20), (3, 1)])
def test_an_m_step_sees_15_batches_of_50_or_one_fiftieth_of_few_images(images, expected):
    assert EmConfig().images_per_m_step(images) == expected


def test_fitting_without_images_is_an_error():
    with pytest.raises(ValueError, match="at least one window of images, got none"):
        fit_filters([], EmConfig())
