"""A report in the terminal: attacks, other sections, then the headline and its difference from the baseline."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.report.notes import missing, notes
from orchestrator.report.sections import accuracy_sections, more_sections
from orchestrator.report.table import Heading, Table
from orchestrator.summary import Summary
from search_spaces.study import CLEAN

LABEL_WIDTH, COLUMN_WIDTH = 24, 13


def render_terminal(summary: Summary, *, width: int = 100) -> Group:
    """Return what rich prints in `width` characters, the headline last, where a reader looks first.

    A table that is too wide is continued below, a few eps at a time.
    """
    headline, *attacks = accuracy_sections(summary)
    parts: list[RenderableType] = [Text(summary.plan.study.title, style="bold")]
    parts += [Text(gaps, style="yellow")] if (gaps := missing(summary)) else []
    for section in (*attacks, *more_sections(summary, printed=False)):
        parts += rich_tables(section.title, section.table, width, has_groups=False)
    parts += rich_tables(headline.title, headline.table, width, has_groups=True)
    if headline.difference:
        parts += rich_tables("", headline.difference, width, has_groups=True)
    return Group(*parts, *(Text(f"• {note}") for note in notes(summary)))


def rich_tables(title: str, table: Table, width: int, *, has_groups: bool) -> list[RenderableType]:
    """Return a table in as many parts as the width requires, each with the clean column if there is one."""
    kept = [0] if table.headings[:1] == (Heading("", CLEAN),) else []
    rest = range(len(kept), len(table.headings))
    size = max(1, (width - LABEL_WIDTH) // COLUMN_WIDTH - len(kept))
    parts = [[*kept, *rest[start : start + size]] for start in range(0, max(1, len(rest)), size)]
    heading = "\n".join(filter(None, (title, table.caption)))
    return [_table("" if i else heading, _columns(table, part), has_groups=has_groups) for i, part in enumerate(parts)]


def _columns(table: Table, chosen: list[int]) -> Table:
    rows = tuple((label, tuple(entries[i] for i in chosen)) for label, entries in table.rows)
    return Table(table.caption, tuple(table.headings[i] for i in chosen), rows, table.stub)


def _table(heading: str, table: Table, *, has_groups: bool) -> RichTable:
    title = Text(heading) if heading else None
    rich = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rich.add_column(table.stub, overflow="fold", min_width=12)
    for column in table.headings:
        head = f"eps {column.name}" if column.group else column.name.replace("_", " ").replace(" ", "\n")
        group = f"{column.group}\n".replace(" ", "\n") if has_groups else ""
        rich.add_column(Text(group + head), justify="right", no_wrap=True)
    for label, entries in table.rows:
        cells = (Text(entry.text, style="bold" if entry.is_best else "") for entry in entries)
        rich.add_row(Text(label), *cells)
    return rich
