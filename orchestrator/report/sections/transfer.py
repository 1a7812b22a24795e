"""The sections of transfer matrices: every row of a study on what every source crafted, white boxes among them."""

from __future__ import annotations

from orchestrator.report.sections.accuracy import cell_text
from orchestrator.report.table import Entry, Heading, Section, Table, eps_text
from orchestrator.report.words import metric_of
from orchestrator.summary import Matrix, Summary, transfer_matrices

WHITE_BOX = "*"  # beside what a model crafted on itself


def matrix_sections(summary: Summary) -> tuple[Section, ...]:
    """Return one section for each matrix; none for a study without one."""
    return tuple(_section(summary, matrix) for matrix in transfer_matrices(summary))


def _section(summary: Summary, matrix: Matrix) -> Section:
    headings = tuple(Heading("", source) for source in matrix.sources)
    rows = tuple((t, tuple(_entry(summary, matrix, t, s) for s in matrix.sources)) for t in matrix.targets)
    title = f"Transfer of {matrix.attack} at eps {eps_text(matrix.eps)}"
    return Section(title, Table(_caption(summary, matrix), headings, rows, "target, by source"))


def _entry(summary: Summary, matrix: Matrix, target: str, source: str) -> Entry:
    mark = f" {WHITE_BOX}" if (target, source) in matrix.white_boxes else ""
    return Entry(cell_text(summary, target, matrix.columns[target, source]) + mark)


def _caption(summary: Summary, matrix: Matrix) -> str:
    caption = (
        f"{metric_of(summary).capitalize()} in % of each row on the examples that a column's model of the same seed "
        f"crafted; {WHITE_BOX} on its own, in white box"
    )
    if set(matrix.sources) <= set(matrix.targets):
        return caption
    return f"{caption}. Among the variants with a column's settings, the one most like the row crafts them"
