"""A report in GitHub's Markdown."""

from __future__ import annotations

import re

from orchestrator.report.aggregate import Summary
from orchestrator.report.notes import missing, notes
from orchestrator.report.provenance import command
from orchestrator.report.tables import Entry, Table, sections


def markdown(summary: Summary, *, figures: tuple[str, ...] = ()) -> str:
    """Return the report as Markdown; `figures` are names of image files that lie beside it."""
    study = summary.plan.study
    lines = [f"# {_escaped(study.title)}", ""]
    answers = ", ".join(filter(None, (study.paper, study.table)))
    for text in filter(None, (study.question, answers and f"Answers {answers}.", missing(summary))):
        lines += [_escaped(text), ""]
    for section in sections(summary):
        lines += [f"## {_escaped(section.title)}", ""]
        for table in filter(None, (section.accuracy, section.difference)):
            lines += [f"{_escaped(table.caption)}:", "", *_table(table), ""]
    for name in figures:
        lines += [f"![{name.partition('.')[0].replace('_', ' ')}]({name})", ""]
    lines += ["## Notes", "", *(f"- {_escaped(note)}" for note in notes(summary)), ""]
    return "\n".join([*lines, f"Made from the records of `{command(summary.plan)}`.", ""])


def _table(table: Table) -> list[str]:
    heads = ["variant", *(_escaped(heading.flat) for heading in table.headings)]
    rule = [":--", *("--:" for _ in table.headings)]
    rows = [[_escaped(label), *map(_entry, entries)] for label, entries in table.rows]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _entry(entry: Entry) -> str:
    return f"**{entry.text}**" if entry.is_best else entry.text


def _escaped(text: str) -> str:
    """Write plain text so that Markdown shows it as it is, `code` apart."""
    return re.sub(r"`[^`]*`|[\\|*_<>]", lambda m: m[0] if m[0].startswith("`") else f"\\{m[0]}", text)
