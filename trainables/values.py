"""Frozen: values that validate themselves; how they are hashed, and how their errors are explained."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from trainables.errors import InputError, unknown

SCHEMA = 2
FINGERPRINT_LENGTH = 20
LARGEST_SEED = 2**31 - 1


class Frozen(BaseModel):
    """A value: immutable, with no field that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                raise unknown("key", key, cls.model_fields)
        return value


def fingerprint_of(kind: str, values: dict[str, Any]) -> str:
    """Hash the canonical JSON of `values`, of one kind and SCHEMA, to FINGERPRINT_LENGTH hexadecimal digits."""
    canonical = json.dumps({"schema": SCHEMA, "kind": kind, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def explain(error: ValidationError) -> str:
    """Return one line for each error: the dotted key, the rule and the value got.

    A whole whose parts are wrong says nothing more: a tuple is then too short as well.
    """
    items = error.errors()
    parts = {item["loc"][:n] for item in items for n in range(1, len(item["loc"]))}
    return "\n".join(_explain_one(item) for item in items if item["loc"] not in parts)


def _explain_one(item: ErrorDetails) -> str:
    key = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    if isinstance(item.get("ctx", {}).get("error"), InputError):
        return f"{key}: {message}" if key else message
    got = "" if "got" in message else f", got {item['input']!r}"
    return f"{key}{': ' if key else ''}{message[0].lower()}{message[1:]}{got}."
