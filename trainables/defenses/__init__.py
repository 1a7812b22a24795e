"""The defenses by name. Adding one is its file, its search space, its test and a line here."""

from __future__ import annotations

from trainables.defenses.afd import Afd
from trainables.defenses.baselines import (
    EmbeddingMatching,
    FeatureSqueezing,
    FgsmTraining,
    GaussianAugmentation,
    Madry,
    Natural,
    Trades,
)
from trainables.defenses.by_loss import defense_of, trained_by
from trainables.defenses.contract import Defense, DefenseConfig, NoInference, require_view
from trainables.defenses.fit import Fit, network_of
from trainables.defenses.pcl import Pcl
from trainables.defenses.rbf_cnn import RbfCnn
from trainables.defenses.rbf_mapping import RbfMapping
from trainables.defenses.registry import DEFENSES
from trainables.defenses.wnll import Wnll

DEFENSES.add_all(
    none=Natural,
    gaussian_augmentation=GaussianAugmentation,
    feature_squeezing=FeatureSqueezing,
    fgsm_training=FgsmTraining,
    madry=Madry,
    trades=Trades,
    embedding_matching=EmbeddingMatching,
    rbf_mapping=RbfMapping,
    rbf_cnn=RbfCnn,
    pcl=Pcl,
    afd=Afd,
    wnll=Wnll,
)

__all__ = [
    "DEFENSES",
    "Defense",
    "DefenseConfig",
    "Fit",
    "NoInference",
    "defense_of",
    "network_of",
    "require_view",
    "trained_by",
]
