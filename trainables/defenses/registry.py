"""Defenses by name."""

from __future__ import annotations

from trainables.defenses.contract import Defense
from trainables.registry import Registry

DEFENSES: Registry[type[Defense]] = Registry("defense", "defenses", config_of=lambda defense: defense.Config)
