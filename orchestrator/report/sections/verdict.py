"""The section of verdicts on gradient masking, and the notes that explain them."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.report.table import FLAG, Entry, Heading, Section, Table, shown
from orchestrator.report.words import metric_of
from orchestrator.summary import Summary
from orchestrator.summary.verdict import FAILED, NOT_JUDGED, PASSED, RED_FLAG

MARKS = {PASSED: "pass", FAILED: "FAIL", NOT_JUDGED: "?"}


def verdict_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the section, rows by checks; none for a study without an attack."""
    if not summary.verdicts:
        return ()
    rows = tuple(
        (
            shown(label, summary.plan.baselines),
            (Entry(verdict.overall), *(Entry(MARKS[check.verdict]) for check in verdict.checks)),
        )
        for label, verdict in summary.verdicts.items()
    )
    caption = "No check can show that a model is robust; ? marks a check that the attacks of this study do not decide"
    checks = next(iter(summary.verdicts.values())).checks
    headings = (Heading("", "verdict"), *(Heading("", check.name) for check in checks))
    return (Section("Signs of gradient masking", Table(caption, headings, rows)),)


def verdict_notes(summary: Summary) -> Iterator[str]:
    """Yield what each failed check found, then what to run for the checks that could not judge."""
    if any(verdict.overall == RED_FLAG for verdict in summary.verdicts.values()):
        metric = metric_of(summary)
        yield f"{FLAG} marks a row with a sign of gradient masking: its {metric} under attack may be overestimated."
    for label, verdict in summary.verdicts.items():
        for check in verdict.checks:
            if check.verdict == FAILED:
                yield f'{FLAG} {label} fails "{check.name}": {check.text}.'
    open_checks: dict[tuple[str, str], list[str]] = {}
    for label, verdict in summary.verdicts.items():
        for check in verdict.checks:
            if check.verdict == NOT_JUDGED:
                open_checks.setdefault((check.name, check.to_run), []).append(label)
    for (name, to_run), labels in open_checks.items():
        whom = "any row" if len(labels) == len(summary.verdicts) else ", ".join(labels)
        yield f'Not judged for {whom}: "{name}". To judge it, {to_run}.'
