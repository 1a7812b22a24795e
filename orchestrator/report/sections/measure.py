"""The sections of measures, which are no attacks."""

from __future__ import annotations

from orchestrator.planning.wording import assignments
from orchestrator.report.settings import measure_settings
from orchestrator.report.table import MISSING, Entry, Heading, Section, Table, shown, written
from orchestrator.summary import Summary


def measure_sections(summary: Summary) -> tuple[Section, ...]:
    """Return one section for each measure."""
    return tuple(_section(summary, name) for name in summary.plan.columns if name in summary.plan.measures)


def _section(summary: Summary, measure: str) -> Section:
    """Return the numbers of which each model has one; none is bold as the best, since higher may be worse."""
    numbers = summary.numbers(measure)
    rows = tuple(
        (shown(label, summary.plan.baselines), tuple(Entry(_text(summary, label, measure, n)) for n in numbers))
        for label in summary.labels
    )
    title = f"Measure {measure}: {assignments(measure_settings(summary.plan.measures[measure]))}"
    caption = "Shares and medians are over the examples of a seed"
    headings = tuple(Heading("", number.replace("_", " ")) for number in numbers)
    return Section(title, Table(caption, headings, rows))


def _text(summary: Summary, label: str, measure: str, number: str) -> str:
    estimate = summary.measured(label, measure, number)
    return written(estimate, summary.measurements[label, measure].planned, ".4g") if estimate else MISSING
