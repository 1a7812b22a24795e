"""Dotted settings: `--set defense.psi=identity`, search-space axes and scales all speak this language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from trainables.errors import InputError

SHORTHANDS = ("dataset", "network", "defense")  # `defense=none` stands for `defense.name=none`


def canonical(key: str) -> str:
    """Return the full dotted key: `defense` is short for `defense.name`."""
    return f"{key}.name" if key in SHORTHANDS else key


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` strings; values are JSON where they can be, lists may leave out the quotes."""
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
    """Parse JSON; else a bracketed list of such values; else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(part.strip()) for part in _parts(text[1:-1]) if part.strip()]
    return text


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn {'a.b': 1} into {'a': {'b': 1}}; later keys win."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *path, leaf = canonical(key).split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise InputError(f"key {key!r} lies below {part!r}, which holds a value")
        at[leaf] = value
    return nested


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn {'a': {'b': 1}} into {'a.b': 1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
