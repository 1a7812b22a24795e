import math

import pytest
import torch
from torch import nn

from trainables.fitting.descent import Descent
from trainables.fitting.optimisation import OptimisationSpec


class Bowl(nn.Module):
    """loss = |p - 1|^2 / 2, so its gradient is p - 1."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0, -2.0]))
        self.held = nn.Parameter(torch.zeros(1), requires_grad=False)

    def loss(self, images, labels):
        return (self.p - 1).square().sum() / 2


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_takes_the_step_of_the_closed_form(nesterov):
    """Two steps, momentum m, weight decay w: g = (p - 1) + w p, v = m v + g, p = p - lr v, or - lr (m v + g)."""
    bowl, lr, m, w = Bowl(), 0.1, 0.5, 0.01
    expected, velocity, losses = torch.tensor([3.0, -2.0]), 0.0, []
    for _ in range(2):
        losses.append((expected - 1).square().sum() / 2)
        gradient = (expected - 1) + w * expected
        velocity = m * velocity + gradient
        expected = expected - lr * (m * velocity + gradient if nesterov else velocity)
    spec = OptimisationSpec(optimizer="sgd", lr=lr, momentum=m, weight_decay=w, nesterov=nesterov)
    metrics = Descent(bowl.parameters(), spec, 5).epoch([(None, None)] * 2, bowl.loss)
    torch.testing.assert_close(bowl.p.detach(), expected)
    assert metrics == {"loss": pytest.approx(torch.stack(losses).mean().item()), "lr": lr}


def test_the_first_step_of_adam_has_size_lr_in_every_coordinate():
    bowl = Bowl()
    Descent(bowl.parameters(), OptimisationSpec(lr=0.01), 5).epoch([(None, None)], bowl.loss)
    torch.testing.assert_close(bowl.p.detach(), torch.tensor([3.0 - 0.01, -2.0 + 0.01]), atol=1e-6, rtol=0)


def test_parameters_that_need_no_gradient_are_left_alone():
    bowl = Bowl()
    Descent(bowl.parameters(), OptimisationSpec(weight_decay=0.5), 1).epoch([(None, None)], bowl.loss)
    assert bowl.held.item() == 0.0


SCHEDULES = {
    "constant": ({}, [1, 1, 1, 1, 1, 1]),
    "multistep": ({"schedule": "multistep", "milestones": (2, 4), "gamma": 0.1}, [1, 1, 0.1, 0.1, 0.01, 0.01]),
    "cosine": ({"schedule": "cosine"}, [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]),
}


@pytest.mark.parametrize(("settings", "factors"), SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("stop", [None, 1, 3], ids=["in one go", "stopped after 1", "stopped after 3"])
def test_the_schedule_sets_the_lr_of_each_epoch(settings, factors, stop, stored):
    spec = OptimisationSpec(lr=0.05, optimizer="sgd", **settings)
    bowl = Bowl()
    descent, lrs = Descent(bowl.parameters(), spec, 6), []
    for number in range(6):
        if number == stop:
            state = stored(descent.state_dict())
            descent = Descent(bowl.parameters(), spec, 6)
            descent.load_state_dict(state)
        lrs.append(descent.epoch([(None, None)], bowl.loss)["lr"])
    assert lrs == pytest.approx([0.05 * factor for factor in factors])
