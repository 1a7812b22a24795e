"""The areas under accuracy against eps as a section of a report."""

from __future__ import annotations

from orchestrator.report.table import MISSING, Entry, Heading, Section, Table, shown
from orchestrator.summary.aggregate import Summary
from orchestrator.summary.area import area, curves
from orchestrator.summary.estimate import best_of, written


def area_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the section of the areas, a column an attack and the worst cases; none if nothing has a curve."""
    names = curves(summary)
    if not names:
        return ()
    best = {name: best_of({label: area(summary, label, name) for label in summary.labels}) for name in names}
    rows = tuple(
        (
            shown(label, summary.plan.baselines),
            tuple(Entry(_text(summary, label, name), label in best[name]) for name in names),
        )
        for label in summary.labels
    )
    caption = "Trapezoids from eps 0 on, as a fraction of what perfect accuracy would have"
    headings = tuple(Heading("", name) for name in names)
    return (Section("Area under accuracy against eps", Table(caption, headings, rows), None),)


def _text(summary: Summary, label: str, name: str) -> str:
    estimate = area(summary, label, name)
    return written(estimate, summary.cells[label, summary.named(name)[0]].planned, ".3f") if estimate else MISSING
