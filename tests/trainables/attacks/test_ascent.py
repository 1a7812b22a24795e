import functools

import pytest
import torch
from torch import nn

from trainables.attacks import ATTACKS
from trainables.attacks.ascent import CROSS_ENTROPY, ascend
from trainables.attacks.norms import NORMS
from trainables.attacks.starts import uniform_noise
from trainables.evaluation import evaluate_attacked
from trainables.specs import attack_spec

every_norm = pytest.mark.parametrize("norm", NORMS)


class Wave(nn.Module):
    """Class 1 where cos(k sum x) is negative: many boundaries, so an ascent may step over one and back."""

    def forward(self, images):
        wave = torch.cos(25 * images.flatten(1).sum(1))
        return torch.stack([wave, -wave], 1)


def starts(count, shape=(1, 2, 2), seed=0):
    return lambda restart: uniform_noise(torch.arange(count), shape, seed=seed, restart=restart)


def craft(name, model, images, labels, *, eps, noise=None, stop_early=False, **settings):
    attack = attack_spec({"name": name, "eps": [eps]} | settings)
    noise = noise or starts(len(images), tuple(images.shape[1:]))
    return (
        ATTACKS[name].craft(model, images, labels, eps=eps, spec=attack, starts=noise, stop_early=stop_early).detach()
    )


def wave_problem(count=40):
    images = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    return Wave(), images, Wave()(images).argmax(1)


@every_norm
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_a_linear_model_is_broken_exactly_beyond_its_boundary(name, norm, linear):
    """The nearest point of the other class is |margin| / dual norm of w away; 5 % either way decides."""
    grid = linear.grid(norm)
    assert len(grid) >= 8
    attack = attack_spec({"name": name, "norm": norm, "eps": grid})
    outcomes = evaluate_attacked(linear.model, linear.model, linear.images, linear.labels, attack=attack, seed=0)
    for outcome in outcomes:
        assert outcome.correct.tolist() == (linear.nearest[norm] > outcome.eps).tolist(), outcome.eps


@every_norm
def test_one_step_is_the_closed_form(norm, linear):
    """On the boundary of the ball, along the dual of w = d margin / d x."""
    images = linear.images / 255
    normal = linear.model[1].weight[1] - linear.model[1].weight[0]
    towards = torch.where(linear.labels == 1, -1, 1)[:, None] * normal
    unit = towards.sign() if norm == "linf" else towards / towards.norm(dim=1, keepdim=True)
    expected = images + 0.01 * unit.reshape(images.shape)
    found = craft("fgsm", linear.model, images, linear.labels, eps=0.01, norm=norm)
    torch.testing.assert_close(found, expected.detach())


@every_norm
def test_pgd_of_one_full_step_without_a_start_is_fgsm(norm, linear):
    images = linear.images / 255
    settings = {"norm": norm, "eps": 0.02}
    fgsm = craft("fgsm", linear.model, images, linear.labels, **settings)
    pgd = craft("pgd", linear.model, images, linear.labels, steps=1, relative_step=1.0, random_start=False, **settings)
    assert torch.equal(fgsm, pgd)


def test_the_box_is_respected_and_the_rest_of_the_step_kept():
    """Pixels at a bound stay there where the step points out of [0, 1], and move where it points in."""
    images = torch.tensor([[[[0.0, 1.0, 0.95, 0.5]]]])
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    found = craft("fgsm", model, images, torch.tensor([0]), eps=0.1)
    torch.testing.assert_close(found, torch.tensor([[[[0.0, 0.9, 1.0, 0.6]]]]))


def test_pixels_at_the_bounds_of_the_box_have_a_gradient():
    """Since torch 2.15 a clamp inside the graph would stop it there; two steps show it, the second starts at 0."""
    images = torch.full((1, 1, 1, 2), 0.05)
    turning = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    turning[1].weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    bounds = []

    class Watched(nn.Module):
        def forward(self, x):
            logits = turning(x)
            x.register_hook(lambda gradient: bounds.append((x.detach().clone(), gradient.clone())))
            return logits

    craft("pgd", Watched(), images, torch.tensor([0]), eps=0.2, steps=3, relative_step=1.0, random_start=False)
    at_zero = [(x, g) for x, g in bounds if (x == 0).any()]
    assert len(at_zero) == 2
    assert all((gradient != 0).all() for _, gradient in at_zero)


@every_norm
def test_the_iterates_follow_the_formula(norm):
    """x <- clip(x0 + P(x + step steepest(g) - x0)), written out for one example at a time."""
    model, images, labels = wave_problem(6)
    found = ascend(model, images, labels, eps=0.15, norm=norm, objective=CROSS_ENTROPY, steps=4, step=0.06)
    ball = NORMS[norm]
    for i in range(6):
        x0 = x = images[i : i + 1]
        for _ in range(4):
            x = x.clone().requires_grad_()
            CROSS_ENTROPY.loss(model(x), labels[i : i + 1]).sum().backward()
            x = (x0 + ball.project(x.detach() + 0.06 * ball.steepest(x.grad) - x0, 0.15)).clamp(0, 1)
        torch.testing.assert_close(found[i : i + 1], x)


@every_norm
def test_stopping_early_breaks_whatever_any_step_but_the_last_or_the_end_breaks(norm):
    model, images, labels = wave_problem()
    step = {"linf": 0.04, "l2": 0.08}[norm]  # moves the sum of 4 pixels by .16, two thirds of a period
    run = functools.partial(ascend, model, images, labels, eps=3 * step, norm=norm, objective=CROSS_ENTROPY, step=step)
    broken = {steps: model(run(steps=steps)).argmax(1) != labels for steps in range(1, 9)}
    early = model(run(steps=8, stop_early=True)).argmax(1) != labels
    assert torch.equal(early, torch.stack(list(broken.values())).any(0))
    assert early.sum() > broken[8].sum()  # the wave is there to make a difference


def test_stopping_early_keeps_the_first_point_that_fools():
    """The example that is wrong from the start comes back untouched."""
    model, images, labels = wave_problem(6)
    labels[2] = 1 - labels[2]
    found = ascend(
        model, images, labels, eps=0.1, norm="linf", objective=CROSS_ENTROPY, steps=3, step=0.05, stop_early=True
    )
    assert torch.equal(found[2], images[2])
    assert not torch.equal(found[1], images[1])


@every_norm
@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
def test_restarts_keep_the_best_of_their_runs(norm, stop_early):
    model, images, labels = wave_problem()
    settings = {"norm": norm, "eps": 0.05, "steps": 3, "stop_early": stop_early}
    found = craft("pgd", model, images, labels, restarts=4, **settings)
    noise = starts(40)
    runs = [craft("pgd", model, images, labels, noise=lambda _, r=r: noise(r), **settings) for r in range(4)]
    scores = [
        torch.where(model(run).argmax(1) != labels, torch.inf, CROSS_ENTROPY.loss(model(run), labels)) for run in runs
    ]
    best = torch.stack(scores).argmax(0)
    assert torch.equal(found, torch.stack(runs)[best, torch.arange(40)])
    assert len(best.unique()) > 1


@every_norm
def test_a_random_start_is_eps_times_the_norms_start(norm):
    model, images, labels = wave_problem(6)
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append(x.detach().clone())
            return model(x)

    craft("pgd", Watched(), images, labels, eps=0.1, norm=norm, steps=1)
    torch.testing.assert_close(seen[0], images + 0.1 * NORMS[norm].start(starts(6)(0)))
