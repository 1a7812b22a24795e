"""Dotted settings: `--set defense.psi=identity`, search-space axes and scales all speak this language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.values import Frozen

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


Point = dict[str, Any]
DEFENSE = canonical("defense")
INFERENCE = "inference."


def is_inference(key: str) -> bool:
    """Whether a key is a setting at test time, which never retrains."""
    return key.startswith(INFERENCE)


def values_of(value: Any) -> tuple[Any, ...]:
    """Return the values of an axis, or the one value of a setting."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _defense_fields(name: str) -> dict[str, Any]:
    """Return a defense's keys and their types: `defense.*` to train it, `inference.*` to predict with it."""
    if not isinstance(name, str) or name not in DEFENSES:
        raise unknown("defense", name, DEFENSES)
    return _fields_below(DEFENSES[name].Config, "defense.") | _fields_below(DEFENSES[name].Inference, INFERENCE)


def _fields_below(config: type[Frozen], prefix: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for leaf, field in config.model_fields.items():
        fields[prefix + leaf] = field.annotation
        for nested in _models_in(field.annotation):
            fields |= _fields_below(nested, f"{prefix}{leaf}.")
    return fields


def _models_in(annotation: Any) -> list[type[Frozen]]:
    """Return the nested configs that an annotation allows, in it or in its union."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def concerns(key: str, point: Mapping[str, Any]) -> bool:
    """Whether a setting concerns a point: a defense's key concerns only the defenses that have it."""
    if not key.startswith(("defense.", INFERENCE)):
        return True
    return any(key in _defense_fields(name) for name in values_of(point.get(DEFENSE, "none")))


def with_whole_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write each key out: `defense` is `defense.name`."""
    return {canonical(key): value for key, value in settings.items()}


def hashable(value: Any) -> Any:
    """Turn lists into tuples, all the way down."""
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
