"""Transfer matrices: every row of a study on what every source crafted with one attack, the white box between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.report.aggregate import Column, Summary
from orchestrator.report.estimate import Estimate
from orchestrator.report.provenance import source_of
from orchestrator.report.tables import Entry, Heading, Section, Table, cell_text, eps_text


@dataclass(frozen=True)
class Matrix:
    """One attack at one eps: the column of the study for each target and source; on the diagonal the white box."""

    attack: str
    eps: float
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    columns: Mapping[tuple[str, str], Column]

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
    columns = {(t, s): white_box if t == s else at_eps[s] for t in summary.labels for s in sources}
    return Matrix(attack, white_box.eps, summary.labels, tuple(sources), columns)


def matrix_sections(summary: Summary) -> tuple[Section, ...]:
    """Return a section a matrix; none for a study that is no transfer matrix."""
    return tuple(_section(summary, matrix) for matrix in matrices(summary))


def _section(summary: Summary, matrix: Matrix) -> Section:
    caption = "Accuracy in % of each row on what the model of a column crafted, of the same seed; on itself: white box"
    headings = tuple(Heading("crafted on", source) for source in matrix.sources)
    rows = tuple(
        (t, tuple(Entry(cell_text(summary, t, matrix.columns[t, s])) for s in matrix.sources)) for t in matrix.targets
    )
    title = f"Transfer of {matrix.attack} at eps {eps_text(matrix.eps)}"
    return Section(title, Table(caption, headings, rows), None)
