import functools

import pytest
import torch
from attack_problems import Watched, craft, noise_of, wave_problem
from evaluated import goal_of
from torch import nn

from trainables.attacks.ascent import ascend, best_of
from trainables.attacks.norms import NORMS

every_norm = pytest.mark.parametrize("norm", NORMS)

LOSS = goal_of().loss


def test_the_box_is_respected_and_the_rest_of_the_step_kept():
    """Pixels at a bound stay there where the step points out of [0, 1], and move where it points in."""
    images = torch.tensor([[[[0.0, 1.0, 0.95, 0.5]]]])
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    found = craft("fgsm", model, images, torch.tensor([0]), eps=0.1)
    torch.testing.assert_close(found, torch.tensor([[[[0.0, 0.9, 1.0, 0.6]]]]))


def test_a_step_in_l1_takes_no_pixel_that_cannot_move():
    """The first two pixels have the largest gradients, but only the other two can follow theirs."""
    images = torch.tensor([[[[0.0, 1.0, 0.0, 1.0]]]])
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[4.0, -3.0, -1.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    found = craft("fgsm", model, images, torch.tensor([0]), eps=0.5, norm="l1")
    torch.testing.assert_close(found, torch.tensor([[[[0.0, 1.0, 0.0, 0.5]]]]))


def test_pixels_at_the_bounds_of_the_box_have_a_gradient():
    """Since torch 2.15 a clamp inside the graph would stop it there; two steps show it, the second starts at 0."""
    images = torch.full((1, 1, 1, 2), 0.05)
    turning = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    turning[1].weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    bounds = []

    class Hooked(nn.Module):
        def forward(self, x):
            logits = turning(x)
            x.register_hook(lambda gradient: bounds.append((x.detach().clone(), gradient.clone())))
            return logits

    craft("pgd", Hooked(), images, torch.tensor([0]), eps=0.2, steps=3, relative_step=1.0, random_start=False)
    at_zero = [(x, g) for x, g in bounds if (x == 0).any()]
    assert len(at_zero) == 2
    assert all((gradient != 0).all() for _, gradient in at_zero)


@every_norm
def test_the_iterates_follow_the_formula(norm):
    """x <- clip(x0 + P(x + step steepest(g) - x0)), written out for one example at a time."""
    model, images, labels = wave_problem(6)
    ball = NORMS[norm]
    found = ascend(model, images, labels, eps=0.15, ball=ball, loss=LOSS, steps=4, step=0.06)
    for i in range(6):
        x0 = x = images[i : i + 1]
        for _ in range(4):
            x = x.clone().requires_grad_()
            LOSS(model(x), labels[i : i + 1]).sum().backward()
            x = (x0 + ball.project(x.detach() + 0.06 * ball.steepest(x.grad) - x0, 0.15)).clamp(0, 1)
        torch.testing.assert_close(found[i : i + 1], x)


@every_norm
def test_stopping_early_breaks_whatever_any_step_but_the_last_or_the_end_breaks(norm):
    model, images, labels = wave_problem()
    # moves the sum of 4 pixels by .16, two thirds of a period
    step = 0.04 * float(NORMS[norm].size(torch.ones_like(images[:1])))
    ball = NORMS[norm]
    run = functools.partial(ascend, model, images, labels, eps=3 * step, ball=ball, loss=LOSS, step=step)
    broken = {steps: model(run(steps=steps)).argmax(1) != labels for steps in range(1, 9)}
    early = model(run(steps=8, fooled=goal_of().fooled)).argmax(1) != labels
    assert torch.equal(early, torch.stack(list(broken.values())).any(0))
    assert early.sum() > broken[8].sum()  # the wave is there to make a difference


def test_stopping_early_keeps_the_first_point_that_fools():
    """The example that is wrong from the start comes back untouched."""
    model, images, labels = wave_problem(6)
    labels[2] = 1 - labels[2]
    ball = NORMS["linf"]
    found = ascend(model, images, labels, eps=0.1, ball=ball, loss=LOSS, steps=3, step=0.05, fooled=goal_of().fooled)
    assert torch.equal(found[2], images[2])
    assert not torch.equal(found[1], images[1])


# --- the best of several attempts


def attempts_of(images, noises, seen):
    """Attempts that put an example at a random place, and say whom they were for."""

    def attempt(number, origin, labels, noise):
        seen.append(noise.indices.tolist())
        return noises[number][noise.indices]

    return attempt


@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
def test_the_best_attempt_is_the_first_that_fools_or_the_one_of_highest_loss(stop_early):
    model, images, labels = wave_problem()
    places = images + 0.01 * torch.stack([noise_of(40).draw(stream) for stream in range(4)])
    seen = []
    best = best_of(
        4,
        attempts_of(images, places, seen),
        model,
        images,
        labels,
        noise_of(40),
        goal=goal_of(),
        stop_early=stop_early,
    )
    fooled = torch.stack([model(place).argmax(1) != labels for place in places])
    score = torch.stack([LOSS(model(place), labels) for place in places])
    expected = torch.where(fooled, torch.inf, score).argmax(0)  # the first of several that fool
    assert torch.equal(best, places[expected, torch.arange(40)])
    assert 0 < fooled.any(0).sum() < 40
    left = [(~fooled[:number].any(0)).nonzero().flatten().tolist() for number in range(4)]
    assert seen == (left if stop_early else [list(range(40))] * 4)


def test_an_only_attempt_is_not_judged():
    model, images, labels = wave_problem(3)
    watched = Watched(model)
    best = best_of(
        1,
        lambda *_: images + 0.1,
        watched,
        images,
        labels,
        noise_of(3),
        goal=goal_of(),
        stop_early=True,
    )
    assert torch.equal(best, images + 0.1)
    assert not watched.seen
