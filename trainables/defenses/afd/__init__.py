"""afd (Bashivan et al. 2020): features of attacked images that a discriminator cannot tell from clean ones."""

from __future__ import annotations

from trainables.defenses.afd.defense import Afd, AfdConfig

__all__ = [
    "Afd",
    "AfdConfig",
]
