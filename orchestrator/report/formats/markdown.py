"""The Markdown format, as GitHub reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.planning.plan import command
from orchestrator.report.formats.contract import Figures
from orchestrator.report.notes import missing, notes
from orchestrator.report.sections import accuracy_sections, more_sections
from orchestrator.report.table import Entry, Table
from orchestrator.summary import Summary


def render_markdown(summary: Summary, figures: Figures) -> str:
    """Return the report as Markdown; it links the figures, which are files beside it."""
    study = summary.plan.study
    lines = [f"# {escaped_markdown(study.title)}", ""]
    answers = ", ".join(filter(None, (study.paper, study.table)))
    for text in filter(None, (study.question, answers and f"Answers {answers}.", missing(summary))):
        lines += [escaped_markdown(text), ""]
    for section in (*accuracy_sections(summary), *more_sections(summary)):
        lines += [f"## {escaped_markdown(section.title)}", ""]
        for table in filter(None, (section.table, section.difference)):
            lines += table_lines(table)
    lines += [*figure_lines(figures), *note_lines(notes(summary))]
    return "\n".join([*lines, f"Made from the records of `{command(summary.plan)}`.", ""])


def table_lines(table: Table) -> list[str]:
    """Return a table below its caption, with an empty line at the end as all blocks of lines have."""
    heads = [table.stub, *(escaped_markdown(heading.flat) for heading in table.headings)]
    rule = [":--", *("--:" for _ in table.headings)]
    rows = [[escaped_markdown(label), *map(_entry, entries)] for label, entries in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows)]
    return [f"{escaped_markdown(table.caption)}:", "", *lines, ""]


def figure_lines(names: Iterable[str]) -> list[str]:
    """Return links to images of these file names, which also say what the images show."""
    return [line for name in names for line in (f"![{name.partition('.')[0].replace('_', ' ')}]({name})", "")]


def note_lines(notes: Iterable[str]) -> list[str]:
    """Return the notes as a list below a heading."""
    return ["## Notes", "", *(f"- {escaped_markdown(note)}" for note in notes), ""]


def _entry(entry: Entry) -> str:
    return f"**{entry.text}**" if entry.is_best else entry.text


def escaped_markdown(text: str) -> str:
    """Escape plain text, except its `code`, so that Markdown shows it as it is."""
    return re.sub(r"`[^`]*`|[\\|*_<>]", lambda m: m[0] if m[0].startswith("`") else f"\\{m[0]}", text)
