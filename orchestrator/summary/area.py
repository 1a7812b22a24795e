"""The area under accuracy against eps, as a fraction of what perfect accuracy would have (afd, Table 2)."""

from __future__ import annotations

import numpy as np

from orchestrator.summary.aggregate import Column, Summary
from orchestrator.summary.estimate import Estimate, estimated
from search_spaces.study import CLEAN


def curves(summary: Summary) -> tuple[str, ...]:
    """Return the columns, worst cases last, that have at least two eps: of fewer there is no curve."""
    names = (*summary.attack_names, *dict.fromkeys(column.name for column in summary.worst_cases))
    return tuple(name for name in names if len(summary.named(name)) > 1)


def area(summary: Summary, label: str, name: str) -> Estimate | None:
    """Return trapezoid(accuracy, eps) / eps_max from the clean accuracy on; None if no seed has its whole curve."""
    columns = curve(summary, name)
    eps = [column.eps for column in columns]
    found = []
    for seed in summary.plan.seeds:
        tallies = [summary.cells[label, column].tallies.get(seed) for column in columns]
        accuracies = [tally.accuracy for tally in tallies if tally]
        if len(accuracies) == len(columns):
            found.append(float(np.trapezoid(accuracies, eps)) / eps[-1])
    return estimated(found)


def curve(summary: Summary, name: str) -> tuple[Column, ...]:
    """Return the clean column and then a column's own, eps ascending."""
    return (*summary.named(CLEAN), *summary.named(name))
