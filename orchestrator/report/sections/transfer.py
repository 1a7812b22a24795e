"""Transfer matrices: every row of a study on what every source crafted with one attack, the white box between."""

from __future__ import annotations

from orchestrator.report.sections.accuracy import cell_text
from orchestrator.report.table import Entry, Heading, Section, Table, eps_text
from orchestrator.summary.aggregate import Summary
from orchestrator.summary.matrices import Matrix, matrices

WHITE_BOX = "*"  # beside what a model crafted on itself


def matrix_sections(summary: Summary) -> tuple[Section, ...]:
    """Return a section a matrix; none for a study that is no transfer matrix."""
    return tuple(_section(summary, matrix) for matrix in matrices(summary))


def _section(summary: Summary, matrix: Matrix) -> Section:
    headings = tuple(Heading("", source) for source in matrix.sources)
    rows = tuple((t, tuple(_entry(summary, matrix, t, s) for s in matrix.sources)) for t in matrix.targets)
    title = f"Transfer of {matrix.attack} at eps {eps_text(matrix.eps)}"
    return Section(title, Table(_caption(matrix), headings, rows, "target, by source"), None)


def _entry(summary: Summary, matrix: Matrix, target: str, source: str) -> Entry:
    mark = f" {WHITE_BOX}" if (target, source) in matrix.white_boxes else ""
    return Entry(cell_text(summary, target, matrix.columns[target, source]) + mark)


def _caption(matrix: Matrix) -> str:
    caption = (
        f"Accuracy in % of a row on what a column's model of the same seed crafted; {WHITE_BOX} itself, in white box"
    )
    if set(matrix.sources) <= set(matrix.targets):
        return caption
    return f"{caption}. Of the variants with a column's settings, the one most like the row crafts"
