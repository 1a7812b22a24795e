"""Dotted keys, such as `defense.psi`: names of settings in `--set`, in the axes of a search space and in a scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.values import Frozen

SHORTHANDS = ("dataset", "network", "defense")  # `defense=none` stands for `defense.name=none`


def canonical(key: str) -> str:
    """Return the full dotted key: `defense` is short for `defense.name`."""
    return f"{key}.name" if key in SHORTHANDS else key


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn {'a.b': 1} into {'a': {'b': 1}}; later keys win."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *path, leaf = canonical(key).split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise InputError(f"key {key!r} is below {part!r}, which has a value of its own")
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


def defense_fields(name: str) -> dict[str, Any]:
    """Return a defense's keys and their types: `defense.*` to train it, `inference.*` to predict with it."""
    if not isinstance(name, str) or name not in DEFENSES:
        raise unknown("defense", name, DEFENSES)
    return fields_below(DEFENSES[name].Config, "defense.") | fields_below(DEFENSES[name].Inference, INFERENCE)


def fields_below(config: type[Frozen], prefix: str = "") -> dict[str, Any]:
    """Return the dotted keys of a config's fields and of the configs within it, and their types."""
    fields: dict[str, Any] = {}
    for leaf, field in config.model_fields.items():
        fields[prefix + leaf] = field.annotation
        for nested in _models_in(field.annotation):
            fields |= fields_below(nested, f"{prefix}{leaf}.")
    return fields


def _models_in(annotation: Any) -> list[type[Frozen]]:
    """Return the nested configs that an annotation allows, alone or in a union."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def concerns(key: str, point: Mapping[str, Any]) -> bool:
    """Whether a setting applies to a point: a defense's key applies only to the defenses that have it."""
    if not key.startswith(("defense.", INFERENCE)):
        return True
    return any(key in defense_fields(name) for name in values_of(point.get(DEFENSE, "none")))


def with_whole_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write each key out: `defense` is `defense.name`."""
    return {canonical(key): value for key, value in settings.items()}


def hashable(value: Any) -> Any:
    """Turn lists into tuples, nested ones too."""
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
