"""rbf_mapping (Asgari Taghanaki et al., CVPR 2019): RBF blocks between the layers of a network."""

from __future__ import annotations

from trainables.defenses.rbf_mapping.block import RbfBlock
from trainables.defenses.rbf_mapping.config import RbfMappingConfig
from trainables.defenses.rbf_mapping.defense import RbfMapping

__all__ = [
    "RbfBlock",
    "RbfMapping",
    "RbfMappingConfig",
]
