"""How descriptions look: on the terminal, as JSON, and as the reference in trainables/README.md."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.commands.describe import KINDS, Description, Setting, describe, descriptions, kind_named
from orchestrator.commands.study_page import study_page
from orchestrator.terminal_style import plain_table
from search_spaces import STUDIES
from trainables.errors import InputError

STUDY = "study"  # the kind that has a page of its own
BEGIN, END = "<!-- reference -->", "<!-- /reference -->"
REFERENCE = ("defense", "attack", "training", "network", "measure", "dataset", "norm", "criterion", "judge", "format")


def description_view(kind: str | None, name: str | None) -> RenderableType:
    """Show all kinds, the things of one kind, or one thing."""
    if kind is None:
        return _kinds()
    if name is None and [*kind_named(kind).things] == [kind]:
        name = kind  # the only thing of its kind
    if name is None:
        return _things(descriptions(kind))
    found = describe(kind, name)
    return study_page(STUDIES[name]) if kind == STUDY else _thing(found)


def described_json(kind: str | None, name: str | None) -> str:
    """Return the same as JSON."""
    if kind is None:
        return json.dumps({kind: list(known.things) for kind, known in KINDS.items()}, indent=2)
    found = descriptions(kind) if name is None else describe(kind, name)
    if isinstance(found, Description) and kind == STUDY:
        return json.dumps(dataclasses.asdict(found) | STUDIES[found.name].model_dump(mode="json"), indent=2)
    data = [dataclasses.asdict(d) for d in found] if isinstance(found, list) else dataclasses.asdict(found)
    return json.dumps(data, indent=2)


def with_reference(page: str) -> str:
    """Return a Markdown page with the reference of everything but studies between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"a page must have the markers {BEGIN} and {END}, in this order, and it lacks one")
    sections = "\n\n".join(map(_section, REFERENCE))
    return f"{before}{BEGIN}\n\n{sections}\n\n{END}{after}"


def default_of(setting: Setting) -> str:
    """Return a setting's default as a user would type it."""
    if setting.is_required:
        return "required"
    match setting.default:
        case None:
            return "null"
        case float(number):
            return f"{number:g}"
        case str(text) if text:
            return text
        case other:
            return json.dumps(other)


def _kinds() -> Table:
    table = plain_table("kind", "what it is", "names")
    for kind, known in KINDS.items():
        table.add_row(kind, known.about, ", ".join(known.things))
    return table


def _things(found: Sequence[Description]) -> Table:
    table = plain_table(found[0].kind if found else "name", "what it is")
    for thing in found:
        table.add_row(thing.name, Text(thing.what))
    return table


def _thing(found: Description) -> RenderableType:
    title = found.name if found.name == found.kind else f"{found.kind} {found.name}"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(found.what)]
    parts += [Text(f"paper: {found.paper}")] if found.paper else []
    parts += [Text(f"views: {', '.join(found.views)}")] if found.views else []
    return Group(*parts, Text(), _settings(found.settings) if found.settings else Text("It has no settings."))


def _settings(settings: Sequence[Setting]) -> Table:
    table = plain_table()
    for heading in ("key", "type", "default", "what it does"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "key")
    for setting in settings:
        table.add_row(*map(Text, (setting.key, setting.type, default_of(setting), setting.description)))
    return table


def _section(kind: str) -> str:
    found = descriptions(kind)
    lines = [f"### {kind.capitalize()}: {kind_named(kind).about}", ""]
    shared = found[0].settings if all(thing.settings == found[0].settings for thing in found) else ()
    lines += ["| name | what it is | paper |", "|---|---|---|"]
    lines += [_row(f"`{thing.name}`", thing.what, thing.paper) for thing in found]
    if shared:
        lines += ["", *_rows(shared)]
        return "\n".join(lines)
    for thing in found:
        if thing.settings:
            lines += ["", f"**`{thing.name}`**{_views(thing)}", "", *_rows(thing.settings)]
    return "\n".join(lines)


def _views(thing: Description) -> str:
    return f" (views: {', '.join(f'`{view}`' for view in thing.views)})" if thing.views else ""


def _rows(settings: Sequence[Setting]) -> list[str]:
    lines = ["| key | type | default | what it does |", "|---|---|---|---|"]
    return lines + [_row(f"`{s.key}`", s.type, f"`{default_of(s)}`", s.description) for s in settings]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
