"""Attacks on a classifier, for the tests."""

from collections.abc import Sequence

from torch import Tensor, nn

from trainables.attacks import CRITERIA, AttackSpec, Goal
from trainables.evaluation.attacked import evaluate_suite
from trainables.evaluation.clean import Clean
from trainables.evaluation.outcome import Outcome
from trainables.judges import CLASSIFICATION


def goal_of(loss: str = "cross_entropy") -> Goal:
    """Return what an attack on a classifier is after."""
    return Goal(CRITERIA[loss], CLASSIFICATION)


def evaluate_attacked(
    model: nn.Module,
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    attack: AttackSpec,
    seed: int,
    clean: Clean | None = None,
) -> Sequence[Outcome]:
    """Attack uint8 images [N, C, H, W] through `view` and judge them by `model`, one Outcome an eps."""
    return evaluate_suite(model, [(attack, view)], images, labels, judge=CLASSIFICATION, seed=seed, clean=clean)
