"""wnll (Wang et al., arXiv 1809.08516): labels interpolated over a graph of features in place of a softmax."""

from __future__ import annotations

from trainables.defenses.wnll.defense import Wnll, WnllConfig, WnllInference

__all__ = [
    "Wnll",
    "WnllConfig",
    "WnllInference",
]
