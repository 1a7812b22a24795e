import pytest
import torch
from attack_problems import craft, wave_problem

from trainables.attacks.norms import NORMS


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_bim_is_pgd_without_a_start_in_steps_that_just_reach_the_edge(norm):
    model, images, labels = wave_problem()
    bim = craft("bim", model, images, labels, eps=0.1, norm=norm, steps=4)
    pgd = craft("pgd", model, images, labels, eps=0.1, norm=norm, steps=4, relative_step=0.25, random_start=False)
    assert torch.equal(bim, pgd)


@pytest.mark.parametrize("norm", NORMS)
def test_ifgsm_is_bim(norm):
    model, images, labels = wave_problem()
    bim = craft("bim", model, images, labels, eps=0.1, norm=norm)
    assert torch.equal(bim, craft("ifgsm", model, images, labels, eps=0.1, norm=norm))


def test_in_l1_it_goes_along_the_whole_gradient(linear):
    """Every pixel moves, in proportion to its weight: the way of the papers, which is not the steepest."""
    images = linear.images / 255
    normal = (linear.model[1].weight[1] - linear.model[1].weight[0]).detach()
    towards = torch.where(linear.labels == 1, -1, 1)[:, None] * normal
    found = craft("bim", linear.model, images, linear.labels, eps=0.2, norm="l1")
    expected = 0.2 * towards / towards.abs().sum(1, keepdim=True)
    torch.testing.assert_close((found - images).flatten(1), expected, atol=1e-6, rtol=1e-3)
