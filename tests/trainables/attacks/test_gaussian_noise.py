import pytest
import torch
from attack_problems import Watched, craft, noise_of


class Never(torch.nn.Module):
    """Always class 0."""

    def forward(self, images):
        return torch.tensor([1.0, 0.0]).expand(len(images), 2)


class Brightest(torch.nn.Module):
    """Class 1 once a pixel is brighter than `bound`; its loss grows with the brightest pixel."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, images):
        brightest = images.flatten(1).amax(1)
        return torch.stack([torch.full_like(brightest, self.bound), brightest], 1)


GREY = torch.full((20, 1, 10, 10), 0.5)
LABELS = torch.zeros(20, dtype=torch.long)


@pytest.mark.parametrize("stop_early", [False, True], ids=["to the end", "stopping early"])
def test_the_lowest_level_that_fools_counts(stop_early):
    view = Watched(Brightest(0.62))
    found = craft("gaussian_noise", view, GREY, LABELS, eps=0.3, levels=5, stop_early=stop_early)
    noise = noise_of(20, (1, 10, 10))
    levels = [(GREY + (0.3 * (k + 1) / 5 / 3**0.5 * noise.normal(k)).clamp(-0.3, 0.3)).clamp(0, 1) for k in range(5)]
    fools = torch.stack([level.flatten(1).amax(1) > 0.62 for level in levels])
    assert fools.any(0).all()
    lowest = fools.float().argmax(0)
    assert len(lowest.unique()) > 1
    torch.testing.assert_close(found, torch.stack(levels)[lowest, torch.arange(20)])


def test_what_no_level_fools_is_left_at_its_highest_loss():
    found = craft("gaussian_noise", Brightest(2.0), GREY, LABELS, eps=0.3, levels=3)
    noise = noise_of(20, (1, 10, 10))
    levels = [(GREY + (0.1 * (k + 1) / 3**0.5 * noise.normal(k)).clamp(-0.3, 0.3)).clamp(0, 1) for k in range(3)]
    brightest = torch.stack([level.flatten(1).amax(1) for level in levels]).amax(0)
    torch.testing.assert_close(found.flatten(1).amax(1), brightest)
