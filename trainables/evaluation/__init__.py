"""What a model makes of images: as they are, attacked, and attacked through another model."""

from __future__ import annotations

from trainables.evaluation.attacked import attack_batch, evaluate_suite
from trainables.evaluation.clean import Clean, answers_of, evaluate_clean
from trainables.evaluation.outcome import Outcome
from trainables.evaluation.transferred import craft, evaluate_transferred

__all__ = [
    "Clean",
    "Outcome",
    "answers_of",
    "attack_batch",
    "craft",
    "evaluate_clean",
    "evaluate_suite",
    "evaluate_transferred",
]
