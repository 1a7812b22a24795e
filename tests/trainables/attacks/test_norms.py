import pytest
import torch
from scipy import optimize, stats

from trainables.attacks.norms import NORMS

DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}  # the p of the dual norm
BY_TORCH = {"linf": torch.inf, "l2": 2, "l1": 1}

every_norm = pytest.mark.parametrize("norm", NORMS.added)


def noise(count=6, *shape, seed=0):
    return torch.randn(count, *(shape or (3, 4, 5)), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("norm", BY_TORCH)
def test_size_is_the_norm_of_each_example(norm):
    delta = noise()
    expected = torch.linalg.vector_norm(delta.flatten(1), ord=BY_TORCH[norm], dim=1)
    torch.testing.assert_close(NORMS[norm].size(delta), expected)


@pytest.mark.parametrize("norm", DUAL)
def test_steepest_has_size_one_and_attains_the_dual_norm(norm):
    """Hoelder: no direction of size one has an inner product above the dual norm of the gradient."""
    gradient = noise()
    direction = NORMS[norm].steepest(gradient)
    torch.testing.assert_close(NORMS[norm].size(direction), torch.ones(6))
    gain = (gradient * direction).flatten(1).sum(1)
    torch.testing.assert_close(gain, torch.linalg.vector_norm(gradient.flatten(1), ord=DUAL[norm], dim=1))


@every_norm
def test_no_other_direction_of_size_one_raises_a_linear_loss_more(norm):
    ball, gradient, others = NORMS[norm], noise(), noise(6, 200, 3, 4, 5, seed=1)
    steepest = ball.steepest(gradient)
    torch.testing.assert_close(ball.size(steepest), torch.ones(6))
    size = ball.size(others.flatten(0, 1)).reshape(6, 200, 1, 1, 1)
    gains = (gradient[:, None] * others / size).flatten(2).sum(2)
    assert (gains.amax(1) <= (gradient * steepest).flatten(1).sum(1) + 1e-5).all()


@every_norm
def test_size_is_a_norm(norm):
    """It scales, and the size of a sum is at most the sum of the sizes."""
    size, one, other = NORMS[norm].size, noise(), noise(seed=1)
    torch.testing.assert_close(size(-3 * one), 3 * size(one))
    assert (size(one + other) <= size(one) + size(other) + 1e-5).all()


@every_norm
@pytest.mark.parametrize("scale", [1e-35, 1e-20, 1e20], ids=str)
def test_steepest_does_not_depend_on_the_size_of_the_gradient(norm, scale):
    gradient = noise()
    torch.testing.assert_close(NORMS[norm].steepest(gradient * scale), NORMS[norm].steepest(gradient))


@every_norm
def test_steepest_of_a_zero_gradient_is_zero(norm):
    gradient = noise()
    gradient[2] = 0
    direction = NORMS[norm].steepest(gradient)
    assert direction[2].abs().max() == 0
    assert NORMS[norm].size(direction)[[0, 1, 3, 4, 5]].min() > 0.99


@every_norm
def test_projection_lands_in_the_ball_and_leaves_what_is_inside(norm):
    delta = noise() * torch.tensor([0.001, 0.1, 0.5, 1, 10, 1e6])[:, None, None, None]
    projected = NORMS[norm].project(delta, 0.7)
    size = NORMS[norm].size(delta)
    assert NORMS[norm].size(projected).max() <= 0.7 * (1 + 1e-6)
    assert torch.equal(projected[size <= 0.7], delta[size <= 0.7])
    torch.testing.assert_close(NORMS[norm].size(projected)[size > 0.7], torch.full(((size > 0.7).sum(),), 0.7))
    torch.testing.assert_close(NORMS[norm].project(projected, 0.7), projected)


@every_norm
def test_projection_is_the_nearest_point_of_the_ball(norm):
    """A projection on a convex set: (x - Px) . (y - Px) <= 0 for every y of the set; most at the steepest y."""
    delta, others = noise() * 2, noise(6, 3, 4, 5, seed=1)
    projected = NORMS[norm].project(delta, 0.7).clone()
    for inside in (NORMS[norm].project(others, 0.7), 0.7 * NORMS[norm].steepest(delta - projected)):
        assert ((delta - projected) * (inside - projected)).flatten(1).sum(1).max() <= 1e-5


@every_norm
def test_each_example_is_treated_by_itself(norm):
    ball, delta = NORMS[norm], noise()
    for function in (ball.size, ball.steepest, lambda d: ball.project(d, 0.7), lambda d: ball.start(d.clamp(-1, 1))):
        torch.testing.assert_close(function(delta)[2:3], function(delta[2:3]))


def uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@every_norm
def test_a_start_lies_in_the_unit_ball(norm):
    start = NORMS[norm].start(uniform(500, 1, 3, 3))
    assert NORMS[norm].size(start).max() <= 1 + 1e-6


@pytest.mark.parametrize("extreme", [-1.0, 0.0, 1 - 2**-23])
@every_norm
def test_a_start_is_finite_at_the_ends_of_the_noise(norm, extreme):
    start = NORMS[norm].start(torch.full((2, 1, 3, 3), extreme))
    assert start.isfinite().all()
    assert NORMS[norm].size(start).max() <= 1 + 1e-6


def test_the_radius_of_an_l2_start_is_that_of_a_uniform_ball():
    """In d dimensions the volume within radius r is r^d."""
    radius = NORMS["l2"].size(NORMS["l2"].start(uniform(4000, 1, 2, 3)))
    assert stats.kstest((radius**6).numpy(), "uniform").pvalue > 1e-3


def test_the_direction_of_an_l2_start_is_isotropic():
    start = NORMS["l2"].steepest(NORMS["l2"].start(uniform(20000, 1, 2, 2))).flatten(1)
    covariance = start.T @ start / len(start)
    assert start.mean(0).abs().max() < 0.02
    torch.testing.assert_close(covariance, torch.eye(4) / 4, atol=0.01, rtol=0)


# --- l1


def test_a_step_in_l1_is_spread_over_a_hundredth_of_the_pixels():
    """Of 400 the 4 of largest gradient, a quarter of the step each, whatever their signs."""
    gradient = noise(6, 1, 20, 20)
    direction = NORMS["l1"].steepest(gradient)
    for g, d in zip(gradient.flatten(1), direction.flatten(1), strict=True):
        largest = g.abs().topk(4).indices
        assert d.nonzero().flatten().tolist() == largest.sort().values.tolist()
        torch.testing.assert_close(d[largest], g[largest].sign() / 4)


def test_a_step_in_l1_moves_no_pixel_without_a_gradient():
    gradient = torch.zeros(1, 1, 20, 20)
    gradient[0, 0, 3, 5] = -2.0
    direction = NORMS["l1"].steepest(gradient)
    assert direction.nonzero().tolist() == [[0, 0, 3, 5]]
    assert direction[0, 0, 3, 5] == -1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4], ids=str)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_the_l1_projection_shrinks_all_by_the_theta_that_a_bisection_finds(scale, sparse):
    delta = noise(6, 1, 10, 30) * scale
    if sparse:
        delta[noise(6, 1, 10, 30, seed=1).abs() < 1.5] = 0
    eps = 0.3 * scale
    projected = NORMS["l1"].project(delta, eps)
    for d, p in zip(delta.double().flatten(1), projected.flatten(1), strict=True):
        theta = optimize.bisect(lambda t, d=d: float((d.abs() - t).clamp_min(0).sum()) - eps, 0, float(d.abs().max()))
        expected = (d.sign() * (d.abs() - theta).clamp_min(0)).float()
        torch.testing.assert_close(p, expected, atol=1e-6 * scale, rtol=1e-4)


def test_the_size_of_an_l1_start_is_that_of_a_uniform_ball():
    start = NORMS["l1"].start(uniform(4000, 1, 2, 3))
    assert stats.kstest((NORMS["l1"].size(start) ** 6).numpy(), "uniform").pvalue > 1e-3


def test_the_entries_of_an_l1_start_are_exchangeable_and_symmetric():
    """|x_i| / |x| of a uniform point of the simplex is Beta(1, d - 1)."""
    start = NORMS["l1"].start(uniform(4000, 1, 2, 2)).flatten(1)
    shares = start.abs() / start.abs().sum(1, keepdim=True)
    for entry in range(4):
        assert stats.kstest(shares[:, entry].numpy(), stats.beta(1, 3).cdf).pvalue > 1e-3
    assert start.mean(0).abs().max() < 0.02
