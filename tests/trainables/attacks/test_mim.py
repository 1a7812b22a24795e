import pytest
import torch
from attack_problems import craft, wave_problem
from evaluated import goal_of

from trainables.attacks.norms import NORMS


@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_iterates_follow_the_formula(norm, stop_early):
    """g <- mu g + grad / |grad|_1, x <- clip(x0 + P(x + step steepest(g) - x0)), for one example at a time."""
    model, images, labels = wave_problem(12)
    found = craft("mim", model, images, labels, eps=0.12, norm=norm, steps=5, decay=0.7, stop_early=stop_early)
    ball, left = NORMS[norm], 0
    for i in range(12):
        x0 = x = images[i : i + 1]
        momentum = torch.zeros_like(x)
        for _ in range(5):
            if stop_early and model(x).argmax(1) != labels[i]:
                left += 1
                break
            x = x.clone().requires_grad_()
            goal_of().loss(model(x), labels[i : i + 1]).sum().backward()
            momentum = 0.7 * momentum + x.grad / x.grad.abs().sum()
            x = (x0 + ball.project(x.detach() + 0.12 / 5 * ball.steepest(momentum) - x0, 0.12)).clamp(0, 1)
        torch.testing.assert_close(found[i : i + 1], x)
    assert left == 0 or left > 2
