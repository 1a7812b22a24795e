"""Defenses by name."""

from __future__ import annotations

from trainables.defenses.contract import Defense
from trainables.registry import Registry

NEEDS = ("Config", "Inference", "views", "judges", "prepare", "train_epoch", "view", "state_dict", "load_state_dict")
DEFENSES: Registry[type[Defense]] = Registry(
    "defense", "defenses", needs=NEEDS, config_of=lambda defense: defense.Config
)
