"""A report in GitHub's Markdown."""

from __future__ import annotations

import re

from orchestrator.planning.plan import command
from orchestrator.report.notes import missing, notes
from orchestrator.report.sections.accuracy import sections
from orchestrator.report.sections.order import more_sections
from orchestrator.report.table import Entry, Table
from orchestrator.summary.aggregate import Summary


def markdown(summary: Summary, *, figures: tuple[str, ...] = ()) -> str:
    """Return the report as Markdown; `figures` are names of image files that lie beside it."""
    study = summary.plan.study
    lines = [f"# {escaped(study.title)}", ""]
    answers = ", ".join(filter(None, (study.paper, study.table)))
    for text in filter(None, (study.question, answers and f"Answers {answers}.", missing(summary))):
        lines += [escaped(text), ""]
    for section in (*sections(summary), *more_sections(summary)):
        lines += [f"## {escaped(section.title)}", ""]
        for table in filter(None, (section.table, section.difference)):
            lines += [f"{escaped(table.caption)}:", "", *table_lines(table), ""]
    for name in figures:
        lines += [f"![{name.partition('.')[0].replace('_', ' ')}]({name})", ""]
    lines += ["## Notes", "", *(f"- {escaped(note)}" for note in notes(summary)), ""]
    return "\n".join([*lines, f"Made from the records of `{command(summary.plan)}`.", ""])


def table_lines(table: Table) -> list[str]:
    """Return a table's lines."""
    heads = [table.stub, *(escaped(heading.flat) for heading in table.headings)]
    rule = [":--", *("--:" for _ in table.headings)]
    rows = [[escaped(label), *map(_entry, entries)] for label, entries in table.rows]
    return [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]


def _entry(entry: Entry) -> str:
    return f"**{entry.text}**" if entry.is_best else entry.text


def escaped(text: str) -> str:
    """Write plain text so that Markdown shows it as it is, `code` apart."""
    return re.sub(r"`[^`]*`|[\\|*_<>]", lambda m: m[0] if m[0].startswith("`") else f"\\{m[0]}", text)
