"""The area under the score against eps, as a fraction of the area under a perfect score (afd, Table 2)."""

from __future__ import annotations

import numpy as np

from orchestrator.summary.aggregate import Column, Summary
from orchestrator.summary.estimate import Estimate, estimated
from search_spaces.study import CLEAN


def curves(summary: Summary) -> tuple[str, ...]:
    """Return the columns that have a curve, which takes at least two eps; worst cases last."""
    names = (*summary.attack_names, *dict.fromkeys(column.name for column in summary.worst_cases))
    return tuple(name for name in names if len(summary.named(name)) > 1)


def area_of(summary: Summary, label: str, name: str) -> Estimate | None:
    """Return trapezoid(score, eps) / eps_max, from the clean score on; None if no seed has a whole curve."""
    columns = _curve(summary, name)
    eps = [column.eps for column in columns]
    found = []
    for seed in summary.plan.seeds:
        tallies = [summary.cells[label, column].tallies.get(seed) for column in columns]
        scores = [tally.score for tally in tallies if tally]
        if len(scores) == len(columns):
            found.append(float(np.trapezoid(scores, eps)) / eps[-1])
    return estimated(found)


def _curve(summary: Summary, name: str) -> tuple[Column, ...]:
    """Return the clean column, then the columns of this name by ascending eps."""
    return (*summary.named(CLEAN), *summary.named(name))
