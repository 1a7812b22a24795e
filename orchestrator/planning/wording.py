"""Settings as text: how `--set` and `--seeds` are read, and how labels, reports and command lines write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.planning.keys import canonical
from trainables.errors import InputError


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` strings; values are JSON if they can be read as JSON, and lists may leave out the quotes."""
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set takes key=value, got {assignment!r} (for example epochs=3)")
        settings[canonical(key.strip())] = parse_value(value.strip())
    return settings


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `0,1,2`."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--seeds takes integers with commas between them, got {text!r} (for example 0,1,2)") from None


def parse_value(text: str) -> Any:
    """Parse JSON, or a bracketed list of such values; any other text is itself the value."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(part.strip()) for part in _parts(text[1:-1]) if part.strip()]
    return text


def _parts(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def as_text(value: Any) -> str:
    """Write a setting's value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def arguments(asked: str, scale: str, overrides: Mapping[str, Any], seeds: Iterable[int] | None) -> list[str]:
    """Return the words that name a study on a command line, with its scale, changed settings and seeds."""
    words = [asked]
    if scale != "quick":
        words += ["--scale", scale]
    for key, value in overrides.items():
        words += ["--set", f"{key}={as_text(value)}"]
    if seeds is not None:
        words += ["--seeds", ",".join(map(str, seeds))]
    return words


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, which takes an s: `1 trial`, `2 trials`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def assignments(settings: Mapping[str, str]) -> str:
    """Write settings as `key=value key=value`."""
    return " ".join(f"{key}={value}" for key, value in settings.items())
