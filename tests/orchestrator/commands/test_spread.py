"""A dataclass among a command's parameters is an option per field to the user, and a dataclass to the command."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from orchestrator.commands.spread import spread


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(help="How wide.")] = 2
    layers: Annotated[list[str], typer.Option("--layer", metavar="NAME")] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    name: Annotated[str, typer.Argument(metavar="NAME")]
    depth: Annotated[int, typer.Option(envvar="DEPTH")] = 1
    size: Size = field(default_factory=Size)


app = typer.Typer()


@app.command()
@spread
def build(model: Model, fast: Annotated[bool, typer.Option("--fast")] = False, *, second: Annotated[int, "own"] = 0):
    """Build a model."""
    print(repr((model, fast, second)))  # noqa: T201


def invoke(*words, **environment):
    result = CliRunner(env={"COLUMNS": "100", **environment}).invoke(app, words)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (["a"], {}, (Model("a"), False, 0)),
        (["a", "--width", "3", "--fast"], {}, (Model("a", 1, Size(3)), True, 0)),
        (["a", "--layer", "x", "--layer", "y"], {}, (Model("a", 1, Size(2, ["x", "y"])), False, 0)),
        (["a", "--second", "4"], {"DEPTH": "7"}, (Model("a", 7), False, 4)),
    ],
)
def test_a_command_gets_its_groups_as_the_user_gave_them(words, environment, expected):
    code, output = invoke(*words, **environment)
    assert code == 0, output
    assert output.strip() == repr(expected)


def test_help_has_each_option_where_its_group_stands():
    _, output = invoke("--help")
    places = [
        output.index(text) for text in ("NAME", "--depth", "--width", "How wide.", "--layer", "--fast", "--second")
    ]
    assert places == sorted(places)
    assert "[env var: DEPTH]" in output
    assert "[default: 2]" in output
    assert "Build a model." in output


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "Missing argument 'NAME'"), (["a", "--width", "wide"], "Invalid value for '--width'")],
)
def test_a_mistake_is_typers_to_report(words, message):
    code, output = invoke(*words)
    assert code == 2
    assert message in output


def test_a_list_is_not_shared_between_calls():
    assert invoke("a", "--layer", "x")[1] != invoke("a")[1] == invoke("a")[1]
