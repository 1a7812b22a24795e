"""The filter bank's speed: EM against a loop over patches, and the reconstruction against convolutions.

Run it by hand, where shared/datasets holds MNIST:

    pytest -m benchmark -s tests/benchmarks/test_filter_bank.py
"""

import time

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.defenses.rbf_cnn.defense import em_windows
from trainables.defenses.rbf_cnn.filter_bank import EmConfig, FilterBank, Filters, fit_filters
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec

SAMPLE = 20  # images that the loop is timed on


def best_seconds(function, runs):
    """The shortest of `runs` runs, after one to warm up."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times[1:])


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def mnist(shared_datasets):
    """All 60,000 training images, uint8."""
    if not (shared_datasets / "mnist").is_dir():
        pytest.skip(f"{shared_datasets / 'mnist'} is not there")
    splits = load(DatasetSpec(name=f"parquet:{shared_datasets / 'mnist'}"))
    pixels, labels = (
        torch.from_numpy(np.concatenate([getattr(part, name) for part in (splits.train, splits.validation)]))
        for name in ("pixels", "labels")
    )
    return Batches(pixels, labels, OptimisationSpec(), torch.Generator().manual_seed(0))


def loop_over_patches(images, mu, sigma2):
    """E-step and statistics as one would write them first: NumPy, one patch at a time, all filters at once."""
    half_log, moments = np.log(sigma2) / 2, np.zeros((len(mu), mu.shape[1] + 2))
    for image in images:
        for y in range(image.shape[1] - 2):
            for x in range(image.shape[2] - 2):
                z = image[:, y : y + 3, x : x + 3].reshape(-1)
                best = (-((z - mu) ** 2).sum(1) / (2 * sigma2) - half_log).argmax()
                moments[best, :-2] += z
                moments[best, -2] += z @ z
                moments[best, -1] += 1
    return moments


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_two_threads")
def test_em_on_mnist_is_at_least_five_times_as_fast_as_a_loop_over_patches(mnist):
    """500 M-steps of 750 images see 253.5 million patches; the loop's time per patch is scaled to as many.

    The loop is timed with the final filters. Its cost per patch is NumPy's overhead more than the filters' number, so
    that it would start with fewer of them changes little.
    """
    config = EmConfig()
    fit_filters(em_windows(mnist, EmConfig(m_steps=3)), config)
    start = time.perf_counter()
    filters = fit_filters(em_windows(mnist, config), config)
    ours = time.perf_counter() - start

    images = mnist.pixels[:SAMPLE].numpy() / np.float32(255)
    mu, sigma2 = (tensor.numpy() for tensor in filters)
    per_patch = best_seconds(lambda: loop_over_patches(images, mu, sigma2), 3) / (SAMPLE * 26 * 26)
    loop = per_patch * config.m_steps * config.images_per_m_step(len(mnist.labels)) * 26 * 26
    print(
        f"\nEM on {len(mnist.labels)} images: {ours:.1f} s, K={len(mu)}, median sigma^2 {np.median(sigma2):.3f}; "
        f"loop {per_patch * 1e6:.1f} us a patch, scaled {loop:.0f} s: {loop / ours:.0f}x"
    )
    assert ours <= loop / 5


def convolved(images, bank, beta1):
    """The reconstruction by convolutions, after the formulas of the specification."""
    channels = images.shape[1]
    mu, sigma2 = bank.mu.unflatten(1, (channels, 3, 3)), bank.sigma2[:, None, None]
    squares = conv2d(images.square(), torch.ones(1, channels, 3, 3))
    s = (2 * conv2d(images, mu) - squares - mu.square().sum((1, 2, 3))[:, None, None]) / (2 * sigma2)
    weights = torch.softmax(beta1 * torch.sigmoid(s - sigma2.log() / 2), 1)
    return conv_transpose2d(weights, mu) / conv_transpose2d(torch.ones_like(squares[:1]), torch.ones(1, 1, 3, 3))


@pytest.mark.benchmark
@pytest.mark.parametrize(("shape", "filters"), [((64, 1, 28, 28), 24), ((16, 3, 32, 32), 232)], ids=["MNIST", "CIFAR"])
def test_the_reconstruction_by_gemm_is_no_slower_than_by_convolutions(shape, filters):
    """Forward and backward, one thread."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=generator).requires_grad_()
    bank = FilterBank(shape[1])
    bank.hold(
        Filters(
            torch.rand(filters, 9 * shape[1], generator=generator), 0.1 + 0.2 * torch.rand(filters, generator=generator)
        )
    )
    torch.testing.assert_close(bank.reconstructed(images, 25.0), convolved(images, bank, 25.0), atol=1e-4, rtol=0)
    gemm, convolutions = (
        best_seconds(lambda rebuild=rebuild: torch.autograd.grad(rebuild().sum(), images), 10)
        for rebuild in (lambda: bank.reconstructed(images, 25.0), lambda: convolved(images, bank, 25.0))
    )
    print(f"\n{shape}, K={filters}: GEMM {gemm * 1e3:.1f} ms, convolutions {convolutions * 1e3:.1f} ms")
    assert gemm <= convolutions
