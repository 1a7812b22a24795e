"""The defenses by name. Adding one is its file, its search space, its test and a line here."""

from __future__ import annotations

from trainables.defenses.contract import Defense
from trainables.defenses.natural import Natural
from trainables.defenses.rbf_mapping import RbfMapping

DEFENSES: dict[str, type[Defense]] = {"none": Natural, "rbf_mapping": RbfMapping}

__all__ = ["DEFENSES", "Defense"]
