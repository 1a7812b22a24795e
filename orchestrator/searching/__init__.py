"""A search: points drawn from a study's ranges, run as a sweep's units, and their values.

`search` and `ledger` load Optuna, so they are not named here: import them by their own names.
"""

from __future__ import annotations

from orchestrator.searching.history import History, SearchTrial, best_study, load_history, save_history
from orchestrator.searching.objectives import Objective, judged_by, objectives_of
from orchestrator.searching.space import SearchSpace, search_space

__all__ = [
    "History",
    "Objective",
    "SearchSpace",
    "SearchTrial",
    "best_study",
    "judged_by",
    "load_history",
    "objectives_of",
    "save_history",
    "search_space",
]
