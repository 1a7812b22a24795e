"""The section of areas under accuracy against eps."""

from __future__ import annotations

from orchestrator.report.table import MISSING, Entry, Heading, Section, Table, shown, written
from orchestrator.report.words import metric_of
from orchestrator.summary import Summary, area_of, curves, labels_of_best


def area_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the section, with a column for each attack and for worst cases; none if nothing has a curve."""
    names = curves(summary)
    if not names:
        return ()
    best = {name: labels_of_best({label: area_of(summary, label, name) for label in summary.labels}) for name in names}
    rows = tuple(
        (
            shown(label, summary.plan.baselines),
            tuple(Entry(_text(summary, label, name), label in best[name]) for name in names),
        )
        for label in summary.labels
    )
    metric = metric_of(summary)
    caption = f"Trapezoids from eps 0 on, as a fraction of the area under perfect {metric}"
    headings = tuple(Heading("", name) for name in names)
    return (Section(f"Area under {metric} against eps", Table(caption, headings, rows)),)


def _text(summary: Summary, label: str, name: str) -> str:
    estimate = area_of(summary, label, name)
    return written(estimate, summary.cells[label, summary.named(name)[0]].planned, ".3f") if estimate else MISSING
