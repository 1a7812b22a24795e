"""TODO: one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def as_text(value: Any) -> str:
    """Write a setting's value as `--set` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def arguments(asked: str, scale: str, overrides: Mapping[str, Any], seeds: Iterable[int] | None) -> list[str]:
    """Return a study as it is named on a command line, with what was changed of it."""
    words = [asked]
    if scale != "quick":
        words += ["--scale", scale]
    for key, value in overrides.items():
        words += ["--set", f"{key}={as_text(value)}"]
    if seeds is not None:
        words += ["--seeds", ",".join(map(str, seeds))]
    return words


def assignments(settings: Mapping[str, str]) -> str:
    """Write settings as `key=value key=value`."""
    return " ".join(f"{key}={value}" for key, value in settings.items())
