"""A study becomes a plan: the trainings and evaluations that it needs, and the table that they fill.

Pure: nothing here reads a store or knows Ray. `expand` is the way in; settings as text are in `wording`, dotted keys
in `keys`.
"""

from __future__ import annotations

from orchestrator.planning.cells import CellKey, Split
from orchestrator.planning.keys import flatten
from orchestrator.planning.plan import Axis, Plan, command, expand, source_of
from orchestrator.planning.rows import Variant
from orchestrator.planning.wording import as_text, parse_assignments, parse_seeds

__all__ = [
    "Axis",
    "CellKey",
    "Plan",
    "Split",
    "Variant",
    "as_text",
    "command",
    "expand",
    "flatten",
    "parse_assignments",
    "parse_seeds",
    "source_of",
]
