import io

import pytest
from rich.console import Console

from orchestrator.terminal_style import plain_table, print_line


def printed(width=20):
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor")


def test_a_table_has_no_lines_and_two_spaces_between_columns():
    table = plain_table("a", "long")
    table.add_row("1", "2")
    console = Console(file=io.StringIO(), width=20)
    console.print(table)
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == ["a  long", "1  2"]


def test_a_line_is_printed_unwrapped_and_without_colours_of_its_own():
    console, text = printed(), "wrote /a/path/with/7/and/'words'/that/is/longer/than/the/screen"
    print_line(console, text)
    assert console.file.getvalue() == text + "\n"


@pytest.mark.parametrize(("markup", "expected"), [(True, "\x1b[31mred\x1b[0m\n"), (False, "[red]red[/]\n")])
def test_markup_colours_a_line_where_it_is_meant(markup, expected):
    console = printed()
    print_line(console, "[red]red[/]", markup=markup)
    assert console.file.getvalue() == expected
