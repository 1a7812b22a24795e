"""Scores that are no yes or no: the lowest counts, within a suite and from a smaller eps to a larger one."""

import pytest
import torch
from torch import nn

from trainables.attacks import ATTACKS, Attack, AttackSpec, attack_spec
from trainables.evaluation.attacked import evaluate_suite
from trainables.judges import Judge

# The answer is the first pixel. It is worth 1 at the target, 0 at a distance of .5, and broken beyond .4.
NEAR = Judge(
    metric="nearness",
    predict=lambda output: output,
    agree=lambda values: values.mean(0),
    expect=lambda outputs: outputs.mean(0),
    score=lambda values, targets: (1 - 2 * (values - targets).abs()).clamp(0, 1),
    broken=lambda values, targets: (values - targets).abs() > 0.4,
    outputs=lambda targets: 1,
)
IMAGES = torch.full((3, 1, 1, 1), 102, dtype=torch.uint8)  # .4
TARGETS = torch.tensor([0.4, 0.4, 0.6])


class FirstPixel(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, 0]


class MovedSpec(AttackSpec):
    """Move every pixel by `part` of eps."""

    name: str = "moved"
    part: float = 1.0


def moved(view, images, labels, *, eps, spec, goal, noise, stop_early):
    return images + spec.part * eps


@pytest.fixture(autouse=True)
def _attacks(monkeypatch):
    monkeypatch.setitem(ATTACKS.added, "moved", Attack(MovedSpec, moved, "iterative"))
    monkeypatch.setitem(ATTACKS.added, "nearest", Attack(MovedSpec, moved, "iterative", minimises=True))


def scores(*attacks, eps=(0.1, 0.2)):
    """Return the scores [eps, example] that attacks leave, each after those before it."""
    model = FirstPixel()
    threats = [(attack_spec({"eps": eps} | attack), model) for attack in attacks]
    outcomes = evaluate_suite(model, threats, IMAGES, TARGETS, judge=NEAR, seed=0)
    return torch.tensor([outcome.score.tolist() for outcome in outcomes])


def test_an_attack_leaves_its_score():
    torch.testing.assert_close(scores({"name": "moved"}), torch.tensor([[0.8, 0.8, 0.6], [0.6, 0.6, 0.6]]))


def test_an_attack_that_does_less_harm_does_not_undo_another():
    strong, weak = {"name": "moved"}, {"name": "moved", "part": 0.0}
    assert torch.equal(scores(strong, weak), torch.minimum(scores(strong), scores(weak)))
    assert torch.equal(scores(weak, strong), scores(strong, weak))


def test_a_larger_eps_keeps_the_score_of_a_smaller_one():
    """The third example's answer gets better by .1 and then worse again: no larger eps may score higher."""
    (small, large) = scores({"name": "moved", "part": -1.0}, {"name": "moved", "part": 1.0}, eps=(0.1, 0.11))
    assert (large <= small).all()


def test_the_nearest_image_counts_from_its_distance_on():
    found = scores({"name": "nearest", "part": 0.9}, eps=(0.05, 0.2))
    assert found[0].tolist() == pytest.approx([1.0, 1.0, 0.6])
    assert found[1].tolist() == pytest.approx([0.64, 0.64, 0.6])
