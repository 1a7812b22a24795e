"""rbf_cnn (Nandy et al., IJCNN 2020): a network behind a bank of filters that rebuilds its input."""

from __future__ import annotations

from trainables.defenses.rbf_cnn.defense import RbfCnn, RbfCnnConfig, RbfCnnInference

__all__ = [
    "RbfCnn",
    "RbfCnnConfig",
    "RbfCnnInference",
]
