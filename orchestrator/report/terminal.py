"""A report in the terminal: the headline, each attack and the differences, at most a few eps wide."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.report.aggregate import Summary
from orchestrator.report.notes import missing, notes
from orchestrator.report.tables import Table, sections

MAX_EPS = 4


def terminal(summary: Summary) -> Group:
    """Return what rich prints, the headline last, where a terminal's reader looks first.

    100 characters are wide enough; the files of the report hold every eps.
    """
    headline, *attacks = sections(summary, max_eps=MAX_EPS)
    parts: list[RenderableType] = [Text(summary.plan.study.title, style="bold")]
    parts += [Text(gaps, style="yellow")] if (gaps := missing(summary)) else []
    parts += [_table(section.title, section.accuracy, has_groups=False) for section in attacks]
    parts.append(_table(headline.title, headline.accuracy, has_groups=True))
    if headline.difference:
        parts.append(_table("", headline.difference, has_groups=True))
    return Group(*parts, *(Text(f"• {note}") for note in notes(summary)))


def _table(title: str, table: Table, *, has_groups: bool) -> RichTable:
    heading = "\n".join(filter(None, (title, table.caption)))
    rich = RichTable(title=Text(heading), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rich.add_column("variant", overflow="fold", min_width=20)
    for column in table.headings:
        head = f"eps {column.name}" if column.group else column.name
        group = f"{column.group}\n".replace(" ", "\n") if has_groups else ""
        rich.add_column(Text(group + head), justify="right", no_wrap=True)
    for label, entries in table.rows:
        cells = (Text(entry.text, style="bold" if entry.is_best else "") for entry in entries)
        rich.add_row(Text(label), *cells)
    return rich
