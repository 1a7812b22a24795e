"""How tables and lines look on the terminal, in one place."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def plain_table(*headings: str) -> Table:
    """Return an empty table without lines, with bold headings and two spaces between its columns."""
    return Table(*headings, box=None, header_style="bold", padding=(0, 2, 0, 0))


def print_line(console: Console, text: str, *, markup: bool = True) -> None:
    """Print a line unwrapped and uncoloured but for its markup, so that paths and commands can be copied whole."""
    console.print(text, markup=markup, highlight=False, soft_wrap=True)
