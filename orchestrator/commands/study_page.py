"""A study's page in `describe`: its question, what is trained, what each model is asked, and its scales."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.planning.keys import canonical
from orchestrator.planning.wording import as_text, assignments
from orchestrator.terminal_style import plain_table
from search_spaces.study import SCALES, FloatRange, IntRange, SearchRange, Study
from trainables.specs import TrainingSpec
from trainables.values import Frozen

DESIGNS = {
    "grid": "every point of each grid",
    "one_at_a_time": "of each grid, every axis at its first value, and each change of one axis",
    "leave_one_out": "of each grid, every axis at its last value, and each change of one axis",
}
IN_COLUMNS = {"name", "norm", "eps"}  # of an attack, each in a column of the table


def study_page(study: Study) -> RenderableType:
    """Return all that a study says, in sections; a section without content is left out."""
    parts: list[RenderableType] = [Text(f"study {study.name}", style="bold"), Text(study.question or study.title)]
    if answers := ", ".join(filter(None, (study.paper, study.table))):
        parts.append(Text(f"paper: {answers}"))
    for heading, content in _sections(study):
        parts += [Text(f"\n{heading}", style="bold"), content]
    return Group(*parts, Text(), Text("Plan it", style="bold"), *(Text(line) for line in _commands(study)))


def _sections(study: Study) -> Iterator[tuple[str, RenderableType]]:
    if study.base:
        yield "Settings of every row", _pairs(study.base)
    for number, grid in enumerate(study.space, start=1):
        yield f"Grid {number} of {len(study.space)}", _pairs({key: _values(values) for key, values in grid.items()})
    yield "Rows", Text(f"design {study.design}: {DESIGNS[study.design]}")
    if study.baseline:
        yield "Baseline, to which the other rows are compared", Text(_assigned(study.baseline))
    if study.attacks:
        yield "Attacks", _attacks(study)
    if study.transfers:
        yield "Transfers: examples crafted on one row, tried on the others", _transfers(study)
    if study.measures:
        yield "Measures", _measures(study)
    if study.search:
        yield "Ranges of a search", _pairs({key: _range(found) for key, found in study.search.items()})
    yield "Scales (blank: not changed)", _scales(study)


def _pairs(settings: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in settings.items():
        table.add_row(Text(key), Text(as_text(value)))
    return table


def _attacks(study: Study) -> Table:
    table = _table("column", "attack", "norm", "eps", "changed settings")
    for column, attack in study.attacks.items():
        table.add_row(column, attack.name, attack.norm, _values(attack.eps), Text(_changed(attack)))
    return table


def _transfers(study: Study) -> Table:
    table = _table("column", "attack", "crafted on")
    for column, transfer in study.transfers.items():
        table.add_row(column, transfer.attack, Text(_assigned(transfer.source)))
    return table


def _measures(study: Study) -> Table:
    table = _table("column", "measure", "changed settings")
    for column, measure in study.measures.items():
        table.add_row(column, measure.name, Text(_changed(measure)))
    return table


def _scales(study: Study) -> Table:
    """Show what each scale sets, below the dataset, the epochs, the examples and the seeds that it comes to."""
    own = {**_defaults(study), **_canonical(study.base)}
    scales = {scale: _canonical(study.scales.get(scale, {})) for scale in SCALES}
    table = _table("setting", *SCALES)
    for key in dict.fromkeys([*_defaults(study), *(key for changes in scales.values() for key in changes)]):
        cells = (changes[key] if key in changes else own.get(key, "") for changes in scales.values())
        table.add_row(Text(key.removesuffix(".name")), *(Text(_cell(key, value)) for value in cells))
    return table


def _defaults(study: Study) -> dict[str, Any]:
    """Return what a study comes to where neither its base nor a scale says it."""
    fields = TrainingSpec.model_fields
    defaults = {"dataset.name": fields["dataset"].default.name, "epochs": fields["epochs"].default}
    axes = {key for grid in study.space for key in _canonical(grid)}
    shown = {key: "see the grids" if key in axes else value for key, value in defaults.items()}
    return {**shown, "examples": study.examples, "seeds": study.seeds}


def _cell(key: str, value: Any) -> str:
    if key == "examples" and value is None:
        return "all of the test split"
    return _values(value) if isinstance(value, tuple) else as_text(value)


def _commands(study: Study) -> list[str]:
    return [f"robust-sweep plan {study.name}", f"robust-sweep plan {study.name} --scale paper"]


def _table(*headings: str) -> Table:
    table = plain_table()
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=place == 0)
    return table


def _canonical(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {canonical(key): value for key, value in settings.items()}


def _assigned(settings: Mapping[str, Any]) -> str:
    return assignments({key: as_text(value) for key, value in settings.items()})


def _values(values: Iterable[Any]) -> str:
    return ", ".join(f"{value:.4g}" if isinstance(value, float) else as_text(value) for value in values)


def _range(found: SearchRange) -> str:
    if isinstance(found, FloatRange | IntRange):
        return f"{found.low:g} to {found.high:g}" + (", evenly over the logarithm" if found.log else "")
    return f"one of {_values(found)}"


def _changed(spec: Frozen) -> str:
    """Write the settings of an attack or a measure that are not its defaults, but for those in other columns."""
    hidden = IN_COLUMNS if "norm" in type(spec).model_fields else {"name"}
    found = {}
    for key, field in type(spec).model_fields.items():
        value = getattr(spec, key)
        if key not in hidden and value != field.default:
            found[key] = _members(value) if isinstance(value, tuple) else as_text(value)
    return assignments(found)


def _members(values: tuple[Any, ...]) -> str:
    """Write a list; the attacks of a suite by their names, with their own settings."""
    words = [f"{v.name} {_changed(v)}".strip() if isinstance(v, Frozen) and hasattr(v, "name") else v for v in values]
    return f"[{', '.join(as_text(word) for word in words)}]"
