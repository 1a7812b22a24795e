"""The defenses by name. Adding one is its file, its search space, its test and a line here."""

from __future__ import annotations

from trainables.defenses.afd.defense import Afd
from trainables.defenses.baselines.embedding_matching import EmbeddingMatching
from trainables.defenses.baselines.feature_squeezing import FeatureSqueezing
from trainables.defenses.baselines.fgsm_training import FgsmTraining
from trainables.defenses.baselines.gaussian_augmentation import GaussianAugmentation
from trainables.defenses.baselines.madry import Madry
from trainables.defenses.baselines.natural import Natural
from trainables.defenses.baselines.trades import Trades
from trainables.defenses.contract import Defense, DefenseConfig, NoInference
from trainables.defenses.pcl.defense import Pcl
from trainables.defenses.rbf_cnn.defense import RbfCnn
from trainables.defenses.rbf_mapping.defense import RbfMapping
from trainables.defenses.registry import DEFENSES
from trainables.defenses.wnll.defense import Wnll

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
__all__ = ["DEFENSES", "Defense", "DefenseConfig", "NoInference"]
