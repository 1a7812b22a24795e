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
    caption = f"Trapezoids from eps 0 on, as a fraction of the area under perfect {metric}{_ends(summary, names)}"
    headings = tuple(Heading("", name) for name in names)
    return (Section(f"Area under {metric} against eps", Table(caption, headings, rows)),)


def _ends(summary: Summary, names: tuple[str, ...]) -> str:
    """Say where the curves end, if not all end at the same eps."""
    last = {name: summary.named(name)[-1].eps for name in names}
    if len(set(last.values())) == 1:
        return ""
    ends = ", ".join(f"{name} at {eps:g}" for name, eps in last.items())
    return f". The curves end at different eps ({ends}), so compare areas within a column only"


def _text(summary: Summary, label: str, name: str) -> str:
    estimate = area_of(summary, label, name)
    return written(estimate, summary.cells[label, summary.named(name)[0]].planned, ".3f") if estimate else MISSING
