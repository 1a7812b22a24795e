"""The section of effects, factor by factor."""

from __future__ import annotations

from orchestrator.report.sections.accuracy import heading
from orchestrator.report.table import MISSING, Entry, Section, Table
from orchestrator.summary import CONFIDENCE, Column, Effect, Summary, factor_effects, interval
from search_spaces.study import CLEAN


def effect_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the section; none for a single effect, which the differences from the baseline show already."""
    found = factor_effects(summary)
    if len(found) < 2:
        return ()
    columns = (*summary.named(CLEAN), *summary.worst_cases)
    rows = tuple((e.name, tuple(Entry(_text(summary, e, column)) for column in columns)) for e in found)
    interval_text = f"{CONFIDENCE:.0%} confidence interval over seeds" if len(summary.plan.seeds) > 1 else "one seed"
    caption = f"Percentage points, paired by seed, all else equal, averaged over the other factors; {interval_text}"
    return (Section("Effect of each factor", Table(caption, tuple(map(heading, columns)), rows, "factor")),)


def _text(summary: Summary, effect: Effect, column: Column) -> str:
    found = interval(summary, effect, column)
    if found is None:
        return MISSING
    between = "" if found.low is None else f" [{_points(found.low)}, {_points(found.high or 0.0)}]"
    partial = "" if found.n == len(summary.plan.seeds) else f" [{found.n}/{len(summary.plan.seeds)}]"
    return f"{_points(found.mean)}{between}{partial}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")
