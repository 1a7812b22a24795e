"""The section of training times."""

from __future__ import annotations

from orchestrator.report.table import MISSING, Entry, Heading, Section, Table, shown
from orchestrator.summary import COST_COLUMNS, CostColumn, Costs, Summary


def cost_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the section; none if the study does not ask for costs."""
    if (costs := summary.costs) is None:
        return ()
    rows = tuple(
        (shown(row, costs.baselines), tuple(Entry(_text(costs, row, c)) for c in COST_COLUMNS)) for row in costs.models
    )
    caption = f"Wall-clock seconds on {', '.join(costs.hardware) or MISSING}; ratios to the baseline, paired by seed"
    headings = tuple(Heading("", column.name) for column in COST_COLUMNS)
    return (Section("Training cost", Table(caption, headings, rows)),)


def _text(costs: Costs, row: str, column: CostColumn) -> str:
    estimate, planned = costs.estimate(row, column), len(costs.models[row])
    if estimate is None:
        return MISSING
    places = sum(estimate.mean < limit for limit in (100, 10, 1))  # three digits, but no more than three places
    stderr = "" if estimate.stderr is None else f" ± {round(estimate.stderr, places):.9g}"
    partial = "" if estimate.n == planned else f" [{estimate.n}/{planned}]"
    return f"{round(estimate.mean, places):.9g}{stderr}{partial}"
