"""TODO: one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.planning.plan import source_of
from orchestrator.summary.aggregate import Column, Summary
from orchestrator.summary.estimate import Estimate


@dataclass(frozen=True)
class Matrix:
    """One attack at one eps: the column of the study for each target and source.

    A target that is its own source is attacked in the `white_boxes`.
    """

    attack: str
    eps: float
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    columns: Mapping[tuple[str, str], Column]
    white_boxes: frozenset[tuple[str, str]]

    def accuracy(self, summary: Summary, target: str, source: str) -> Estimate | None:
        """Return a target's mean accuracy over seeds on what a source crafted; None without a record."""
        return summary.accuracy(target, self.columns[target, source])


def matrices(summary: Summary) -> tuple[Matrix, ...]:
    """Return a matrix for every attack that is transferred from two sources or more, at every eps."""
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
