import numpy as np
import pytest
import torch
from scipy import stats

from trainables.attacks.starts import GAMMA, _mix, uniform_noise

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


@pytest.mark.parametrize(("seed", "restart", "index"), [(0, 0, 0), (1, 0, 5), (7, 3, 123456), (2**31, 1, 59999)])
def test_noise_is_the_hash_of_seed_restart_example_and_pixel(seed, restart, index):
    golden = 0x9E3779B97F4A7C15
    key = split_mix((seed * 1_000_003 + restart) * golden % BITS)
    stream = split_mix(((index + 1) * golden + key) % BITS)
    hashes = [split_mix((stream + (j + 1) * golden) % BITS) for j in range(42)]
    expected = torch.tensor([(h >> 40) / 2**23 - 1 for h in hashes]).reshape(1, *SHAPE)
    assert torch.equal(uniform_noise(torch.tensor([index]), SHAPE, seed=seed, restart=restart), expected)


@pytest.mark.parametrize(
    "indices", [[3], [3, 4, 5], [9, 3, 0], list(range(100))], ids=["alone", "neighbours", "another order", "many"]
)
def test_an_examples_noise_does_not_depend_on_the_others(indices):
    alone = uniform_noise(torch.tensor([3]), SHAPE, seed=5)[0]
    among = uniform_noise(torch.tensor(indices), SHAPE, seed=5)[indices.index(3)]
    assert torch.equal(alone, among)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"seed": 0, "restart": 1}], ids=lambda other: "restart" if "restart" in other else "seed"
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
        pytest.param(lambda n: n[0, 0], lambda n: n[0, 1], id="neighbouring restarts"),
        pytest.param(lambda n: n[0, 0], lambda n: n[1, 0], id="neighbouring seeds"),
    ],
)
def test_noise_is_uncorrelated_between(one, other):
    """|r| sqrt(n) is standard normal for independent noise; 4 happens once in 16,000."""
    noise = torch.stack(
        [
            torch.stack([uniform_noise(torch.arange(64), (256,), seed=seed, restart=restart) for restart in (0, 1)])
            for seed in (0, 1)
        ]
    )
    a, b = one(noise).flatten(), other(noise).flatten()
    correlation = torch.corrcoef(torch.stack([a, b]))[0, 1]
    assert abs(correlation) * len(a) ** 0.5 < 4
