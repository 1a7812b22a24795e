from dataclasses import dataclass

import pytest
import torch
from attack_problems import Watched, craft, noise_of, wave_problem
from evaluated import goal_of

from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS

every_norm = pytest.mark.parametrize("norm", NORMS)


@dataclass(frozen=True)
class Shifted(Noise):
    """Noise whose streams are numbered from `first`."""

    first: int = 0

    def draw(self, stream):
        return super().draw(self.first + stream)


@every_norm
def test_one_full_step_without_a_start_is_fgsm(norm, linear):
    images = linear.images / 255
    settings = {"norm": norm, "eps": 0.02}
    fgsm = craft("fgsm", linear.model, images, linear.labels, **settings)
    pgd = craft("pgd", linear.model, images, linear.labels, steps=1, relative_step=1.0, random_start=False, **settings)
    assert torch.equal(fgsm, pgd)


@every_norm
@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
def test_restarts_keep_the_best_of_their_runs(norm, stop_early):
    model, images, labels = wave_problem()
    settings = {"norm": norm, "eps": 0.05, "steps": 3, "stop_early": stop_early}
    found = craft("pgd", model, images, labels, restarts=4, **settings)
    noises = [Shifted(torch.arange(40), (1, 2, 2), seed=0, first=restart) for restart in range(4)]
    runs = [craft("pgd", model, images, labels, noise=noise, **settings) for noise in noises]
    scores = [
        torch.where(model(run).argmax(1) != labels, torch.inf, goal_of().loss(model(run), labels)) for run in runs
    ]
    best = torch.stack(scores).argmax(0)
    assert torch.equal(found, torch.stack(runs)[best, torch.arange(40)])
    assert len(best.unique()) > 1


@every_norm
def test_a_random_start_is_eps_times_the_norms_start(norm):
    model, images, labels = wave_problem(6)
    watched = Watched(model)
    craft("pgd", watched, images, labels, eps=0.1, norm=norm, steps=1)
    torch.testing.assert_close(watched.seen[0], images + 0.1 * NORMS[norm].start(noise_of(6).draw(0)))
