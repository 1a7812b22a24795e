import math

import torch
from attack_problems import Watched, craft, wave_problem

from trainables.attacks.daa import push

SETTINGS = {"eps": 0.05, "steps": 3, "relative_step": 0.4}


def test_the_push_is_the_sum_over_pairs():
    points = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    for x, found in zip(points, push(points), strict=True):
        squares = [float((x[i] - x[j]).square().sum()) for i in range(5) for j in range(i)]
        width = torch.tensor(squares).median() / (2 * math.log(6))
        for i in range(5):
            expected = torch.zeros(7)
            for j in range(5):
                r = (x[i] - x[j]).square().sum() / (2 * width)
                expected += (1 - r) * torch.exp(-r) * (x[i] - x[j])
            torch.testing.assert_close(found[i], expected, atol=1e-6, rtol=1e-4)


def test_particles_in_one_place_do_not_move_each_other():
    points = torch.full((3, 4, 6), 0.3)
    torch.testing.assert_close(push(points), torch.zeros(3, 4, 6), atol=1e-6, rtol=0)


def test_a_step_goes_along_the_sign_of_gradient_and_push():
    """Where the gradient is 0 the push alone moves: near particles apart."""
    flat = Watched(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)))
    torch.nn.init.zeros_(flat.view[1].weight)
    torch.nn.init.zeros_(flat.view[1].bias)
    images = torch.full((6, 1, 2, 2), 0.5)
    craft("daa", flat, images, torch.zeros(6, dtype=torch.long), eps=0.2, steps=2, step_size=0.01, particles=2)
    first, second = (seen.reshape(-1, 2, 4) for seen in flat.seen[:2])
    expected = first + 0.01 * push(first).sign()
    torch.testing.assert_close(second, (0.5 + (expected - 0.5).clamp(-0.2, 0.2)))


def test_a_pass_is_no_larger_than_the_batch():
    model, images, labels = wave_problem(40)
    watched = Watched(model)
    craft("daa", watched, images, labels, particles=4, **SETTINGS)
    assert {len(seen) for seen in watched.seen} == {40}
