"""TODO: one line."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ValidationError,
)

from trainables.errors import InputError, unknown
from trainables.values import explain


def _named(value: object) -> object:
    """Let `dataset=digits` stand for `dataset.name=digits`."""
    return {"name": value} if isinstance(value, str) else value


def _from_registry(kind: str, value: object, classes: dict[str, type[Any]]) -> object:
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if name not in classes:
        raise unknown(kind, name, classes)
    try:
        return classes[name].model_validate(value)
    except ValidationError as error:
        raise InputError(explain(error)) from None
