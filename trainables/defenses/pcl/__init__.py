"""pcl (Mustafa et al., TPAMI 2020): inner features held to the prototype of their class."""

from __future__ import annotations

from trainables.defenses.pcl.defense import Pcl, PclConfig

__all__ = [
    "Pcl",
    "PclConfig",
]
