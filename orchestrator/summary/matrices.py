"""Transfer matrices: the score of every row of a study on the examples that every source crafted with one attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.planning.plan import source_of
from orchestrator.summary.aggregate import Column, Summary
from orchestrator.summary.estimate import Estimate


@dataclass(frozen=True)
class Matrix:
    """One attack at one eps: the study's column for each (target, source).

    `white_boxes` are the pairs in which a target is its own source.
    """

    attack: str
    eps: float
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    columns: Mapping[tuple[str, str], Column]
    white_boxes: frozenset[tuple[str, str]]

    def score(self, summary: Summary, target: str, source: str) -> Estimate | None:
        """Return a target's mean accuracy over seeds on the examples a source crafted; None without a record."""
        return summary.score(target, self.columns[target, source])


def transfer_matrices(summary: Summary) -> tuple[Matrix, ...]:
    """Return one matrix for each attack with two sources or more, at each eps."""
    by_attack: dict[str, dict[str, str]] = {}
    for name, transfer in summary.plan.study.transfers.items():
        if name in summary.attack_names and (source := source_of(summary.plan, name)):
            by_attack.setdefault(transfer.attack, {})[source] = name
    return tuple(
        _matrix(summary, attack, sources, column)
        for attack, sources in by_attack.items()
        if len(sources) > 1
        for column in summary.named(attack)
    )


def _matrix(summary: Summary, attack: str, sources: Mapping[str, str], white_box: Column) -> Matrix:
    at_eps = {
        source: next(c for c in summary.named(name) if c.eps == white_box.eps) for source, name in sources.items()
    }
    crafts = summary.plan.sources
    own = frozenset((t, s) for t in summary.labels for s, name in sources.items() if crafts.get((t, name)) == t)
    columns = {(t, s): white_box if (t, s) in own else at_eps[s] for t in summary.labels for s in sources}
    return Matrix(attack, white_box.eps, summary.labels, tuple(sources), columns, own)
