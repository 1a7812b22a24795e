"""Split Bregman against scipy's minimiser, closed forms and loops."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trainables.defenses.wnll.total_variation import (
    TvmConfig,
    cosine_basis,
    draw_mask,
    gradient,
    gradient_adjoint,
    minimise,
    minimised,
)


def objective(z, images, mask, *, lambda_tv):
    """Return what is minimised, for each image [B]."""
    fit = (mask * (z - images).square()).sum((1, 2, 3))
    return fit + lambda_tv * gradient(z).square().sum(0).sqrt().sum((1, 2, 3))


def noisy(batch=3, channels=2, height=6, width=6, *, seed=0):
    """Images with an edge and noise, and masks, float64."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, channels, height, width)
    images = 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64)
    images[..., width // 2 :] += 0.6
    return images, (torch.rand(shape, generator=generator) < 0.6).double()


def variation_by_loop(z):
    total = 0.0
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            down = z[i + 1, j] - z[i, j] if i + 1 < z.shape[0] else 0.0
            right = z[i, j + 1] - z[i, j] if j + 1 < z.shape[1] else 0.0
            total += math.hypot(down, right)
    return total


def by_scipy(image, mask, lambda_tv):
    """Minimise one channel with the corner of |.| rounded off, less and less, from the last minimum on."""
    shape = image.shape

    def smoothed(z, corner):
        z = torch.tensor(z.reshape(1, 1, *shape), requires_grad=True)
        variation = (gradient(z).square().sum(0) + corner**2).sqrt().sum()
        value = (mask * (z - image).square()).sum() + lambda_tv * variation
        (slope,) = torch.autograd.grad(value, z)
        return value.item(), slope.numpy().ravel()

    z = (mask * image).numpy().ravel()
    for corner in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        z = minimize(
            smoothed, z, args=(corner,), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "gtol": 1e-9}
        ).x
    return torch.tensor(z.reshape(1, 1, *shape))


def test_objective_is_that_of_a_loop_over_pixels():
    images, mask = noisy()
    z, _ = noisy(seed=1)
    for n in range(len(images)):
        expected = float((mask[n] * (z[n] - images[n]) ** 2).sum())
        expected += 0.03 * sum(variation_by_loop(channel.numpy()) for channel in z[n])
        assert float(objective(z, images, mask, lambda_tv=0.03)[n]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("lambda_tv", [0.01, 0.03, 0.3])
def test_minimum_is_that_of_scipy(lambda_tv):
    images, mask = noisy(batch=1, channels=1)
    found = minimise(images, mask, lambda_tv=lambda_tv, iterations=3000)
    expected = by_scipy(images[0, 0], mask[0, 0], lambda_tv)
    gap = objective(found, images, mask, lambda_tv=lambda_tv) - objective(expected, images, mask, lambda_tv=lambda_tv)
    assert abs(gap.item()) < 1e-4 * lambda_tv
    assert (mask * (found - expected)).abs().max() < 1e-2


def test_default_iterations_come_within_a_thousandth_of_the_minimum():
    images, mask = noisy(batch=2, channels=1, height=28, width=28)
    few, many = (
        objective(minimise(images, mask, lambda_tv=0.03, iterations=n), images, mask, lambda_tv=0.03)
        for n in (TvmConfig().iterations, 1000)
    )
    assert (few <= 1.001 * many).all()


@pytest.mark.parametrize("lambda_tv", [0.01, 0.03, 1.0])
def test_more_iterations_end_lower_and_below_the_start(lambda_tv):
    images, mask = noisy(height=9, width=7)
    values = [
        objective(minimise(images, mask, lambda_tv=lambda_tv, iterations=n), images, mask, lambda_tv=lambda_tv)
        for n in (20, 60, 200, 2000)
    ]
    assert (values[0] < objective(mask * images, images, mask, lambda_tv=lambda_tv)).all()
    for before, after in pairwise(values):
        assert (after <= before + 1e-9).all()


def test_without_lambda_the_kept_pixels_stay():
    images, mask = noisy()
    z = minimise(images, mask, lambda_tv=0, iterations=50)
    torch.testing.assert_close(z * mask, images * mask, rtol=0, atol=1e-12)


def test_large_lambda_gives_the_mean_of_the_kept_pixels():
    images, mask = noisy()
    mean = (images * mask).sum((2, 3)) / mask.sum((2, 3))
    z = minimise(images, mask, lambda_tv=100, iterations=500)
    torch.testing.assert_close(z, mean[:, :, None, None].expand_as(z), rtol=0, atol=1e-6)


def test_constant_image_stays_whatever_is_dropped():
    _, mask = noisy()
    images = torch.full_like(mask, 0.7)
    torch.testing.assert_close(minimise(images, mask, lambda_tv=0.03, iterations=50), images)


def test_smallest_case_is_soft_thresholding():
    """Two pixels a, b: TV = |a - b|, so each moves lambda / 2 toward the other."""
    images = torch.tensor([[[[0.2, 0.9]]]], dtype=torch.float64)
    z = minimise(images, torch.ones_like(images), lambda_tv=0.1, iterations=500)
    torch.testing.assert_close(z, torch.tensor([[[[0.25, 0.85]]]], dtype=torch.float64))


def test_batch_is_its_images_one_by_one():
    images, mask = noisy()
    alone = [minimise(x[None], m[None], lambda_tv=0.03, iterations=40) for x, m in zip(images, mask, strict=True)]
    torch.testing.assert_close(minimise(images, mask, lambda_tv=0.03, iterations=40), torch.cat(alone))


def test_one_mask_serves_a_batch():
    images, mask = noisy()
    shared = minimise(images, mask[:1], lambda_tv=0.03, iterations=40)
    torch.testing.assert_close(shared, minimise(images, mask[:1].expand_as(images), lambda_tv=0.03, iterations=40))


def test_adjoint_is_the_adjoint():
    z, d = noisy()[0], torch.randn(2, 3, 2, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    d[0, :, :, -1], d[1, ..., -1] = 0, 0  # where no difference is taken
    torch.testing.assert_close((gradient(z) * d).sum(), (z * gradient_adjoint(d)).sum())


def test_cosine_basis_diagonalises_the_laplacian():
    basis = cosine_basis(7, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(basis @ basis.T, torch.eye(7, dtype=torch.float64))
    rows = basis[:, None, None, :]
    values = 2 - 2 * torch.cos(math.pi * torch.arange(7, dtype=torch.float64) / 7)
    torch.testing.assert_close(gradient_adjoint(gradient(rows)), values[:, None, None, None] * rows)


def test_uint8_images_go_through_tvm_with_masks_of_their_own():
    images = (255 * noisy(channels=1)[0]).round().clamp(0, 255).to(torch.uint8)
    images[1] = images[0]
    config = TvmConfig(iterations=30, seed=5)
    found = minimised(images, config)
    assert found.dtype == torch.uint8
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found, minimised(images, config))
    z = minimise(images.float() / 255, draw_mask(tuple(images.shape), config), lambda_tv=0.03, iterations=30)
    assert torch.equal(found, (255 * z).round().to(torch.uint8))


def test_mask_keeps_the_share_it_is_told():
    mask = draw_mask((100, 1, 28, 28), TvmConfig(keep=0.3))
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert mask.mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / mask.numel()))
    assert not torch.equal(mask, draw_mask((100, 1, 28, 28), TvmConfig(keep=0.3, seed=1)))
