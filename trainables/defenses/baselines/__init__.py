"""Plain training and the known defenses that the papers compare themselves with."""

from __future__ import annotations

from trainables.defenses.baselines.embedding_matching import EmbeddingMatching
from trainables.defenses.baselines.feature_squeezing import FeatureSqueezing
from trainables.defenses.baselines.fgsm_training import FgsmTraining
from trainables.defenses.baselines.gaussian_augmentation import GaussianAugmentation
from trainables.defenses.baselines.madry import Madry
from trainables.defenses.baselines.natural import Natural
from trainables.defenses.baselines.trades import Trades

__all__ = [
    "EmbeddingMatching",
    "FeatureSqueezing",
    "FgsmTraining",
    "GaussianAugmentation",
    "Madry",
    "Natural",
    "Trades",
]
