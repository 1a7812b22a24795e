import numpy as np
import pytest
import torch
from scipy import stats

from trainables.attacks.noise import GAMMA, Noise, _mix, uniform_noise

BITS = 2**64
SHAPE = (1, 6, 7)


def split_mix(x):
    """SplitMix64's output function on Python's integers (Steele, Lea, Flood 2014)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % BITS
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % BITS
    return x ^ (x >> 31)


def test_split_mix_gives_its_published_first_numbers():
    """The generator of seed 0 is mix(k GAMMA), k = 1, 2, 3."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    mixed = _mix(torch.arange(1, 4) * GAMMA)
    assert [int(value) % BITS for value in mixed] == published


@pytest.mark.parametrize(("seed", "stream", "index"), [(0, 0, 0), (1, 0, 5), (7, 3, 123456), (2**31, 1, 59999)])
def test_noise_is_the_hash_of_seed_stream_example_and_pixel(seed, stream, index):
    golden = 0x9E3779B97F4A7C15
    key = split_mix((seed * 1_000_003 + stream) * golden % BITS)
    bits = split_mix(((index + 1) * golden + key) % BITS)
    hashes = [split_mix((bits + (j + 1) * golden) % BITS) for j in range(42)]
    expected = torch.tensor([(h >> 40) / 2**23 - 1 for h in hashes]).reshape(1, *SHAPE)
    assert torch.equal(uniform_noise(torch.tensor([index]), SHAPE, seed=seed, stream=stream), expected)


@pytest.mark.parametrize(
    "indices", [[3], [3, 4, 5], [9, 3, 0], list(range(100))], ids=["alone", "neighbours", "another order", "many"]
)
def test_an_examples_noise_does_not_depend_on_the_others(indices):
    alone = uniform_noise(torch.tensor([3]), SHAPE, seed=5)[0]
    among = uniform_noise(torch.tensor(indices), SHAPE, seed=5)[indices.index(3)]
    assert torch.equal(alone, among)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"seed": 0, "stream": 1}], ids=lambda other: "stream" if "stream" in other else "seed"
)
def test_noise_changes_with(other):
    indices = torch.arange(20)
    first, second = uniform_noise(indices, SHAPE, seed=0), uniform_noise(indices, SHAPE, **other)
    assert (first != second).float().mean() > 0.99


def test_noise_leaves_the_global_rng_alone():
    before = torch.get_rng_state()
    uniform_noise(torch.arange(3), SHAPE, seed=0)
    assert torch.equal(before, torch.get_rng_state())


def test_no_examples_have_no_noise():
    assert uniform_noise(torch.arange(0), SHAPE, seed=0).shape == (0, *SHAPE)


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_noise_is_uniform(seed):
    sample = uniform_noise(torch.arange(100), (1, 28, 28), seed=seed).flatten().numpy()
    assert sample.dtype == np.float32
    assert sample.min() >= -1
    assert sample.max() < 1
    assert stats.kstest(sample, stats.uniform(-1, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(lambda n: n[0, 0][:-1], lambda n: n[0, 0][1:], id="neighbouring examples"),
        pytest.param(lambda n: n[0, 0][:, :-1], lambda n: n[0, 0][:, 1:], id="neighbouring pixels"),
        pytest.param(lambda n: n[0, 0], lambda n: n[0, 1], id="neighbouring streams"),
        pytest.param(lambda n: n[0, 0], lambda n: n[1, 0], id="neighbouring seeds"),
    ],
)
def test_noise_is_uncorrelated_between(one, other):
    """|r| sqrt(n) is standard normal for independent noise; 4 happens once in 16,000."""
    noise = torch.stack(
        [
            torch.stack([uniform_noise(torch.arange(64), (256,), seed=seed, stream=stream) for stream in (0, 1)])
            for seed in (0, 1)
        ]
    )
    a, b = one(noise).flatten(), other(noise).flatten()
    correlation = torch.corrcoef(torch.stack([a, b]))[0, 1]
    assert abs(correlation) * len(a) ** 0.5 < 4


# --- signs and normal noise


@pytest.mark.parametrize("count", [3, 64, 130])
def test_signs_are_the_bits_of_the_hash(count):
    """Pattern k of pixel j is bit k % 64 of the word of pixel j and block k // 64."""
    golden, pixels = 0x9E3779B97F4A7C15, 42
    key = split_mix((7 * 1_000_003 + 3) * golden % BITS)
    stream = split_mix((6 * golden + key) % BITS)
    signs = Noise(torch.tensor([5]), SHAPE, seed=7).signs(3, count)
    assert signs.shape == (1, count, *SHAPE)
    for k in {0, count // 2, count - 1}:
        words = [split_mix((stream + (k // 64 * pixels + j + 1) * golden) % BITS) for j in range(pixels)]
        expected = torch.tensor([2.0 * (word >> (k % 64) & 1) - 1 for word in words])
        assert torch.equal(signs[0, k].flatten(), expected)


def test_signs_are_balanced_and_independent_of_each_other():
    signs = Noise(torch.arange(8), (1, 8, 8), seed=0).signs(0, 96)
    assert abs(signs.mean()) * signs.numel() ** 0.5 < 4
    patterns = signs.flatten(2).transpose(0, 1).flatten(1)
    agreement = patterns @ patterns.T / patterns.shape[1] ** 0.5 - torch.eye(96) * patterns.shape[1] ** 0.5
    assert agreement.abs().max() < 5.5  # of 4,560 pairs
    assert abs(agreement.triu(1).square().sum() / (96 * 95 / 2) - 1) < 0.1


def test_signs_of_an_example_do_not_depend_on_the_others():
    alone = Noise(torch.tensor([3]), SHAPE, seed=5).signs(2, 10)[0]
    assert torch.equal(alone, Noise(torch.tensor([9, 3, 0]), SHAPE, seed=5).signs(2, 10)[1])


def test_normal_noise_is_normal():
    sample = Noise(torch.arange(100), (1, 28, 28), seed=0).normal(4)
    assert stats.kstest(sample.flatten().numpy(), stats.norm.cdf).pvalue > 1e-3
    assert sample.isfinite().all()
