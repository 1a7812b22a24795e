"""A setting's type in words: `integer > 0`, `0 <= number < 1`, `code | paper`, `number > 0 or null`."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from trainables.values import Frozen

TEXT = "text"
PLAIN = {int: "integer", float: "number", str: TEXT, bool: "true | false", type(None): "null", Any: "any value"}
ABOVE = (("gt", "<"), ("ge", "<="))
BELOW = (("lt", "<"), ("le", "<="))


def type_of(annotation: Any, constraints: Iterable[Any] = ()) -> str:
    """Return a field's type and constraints as a user would say them."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0], [*arguments[1:], *constraints])
    if origin in (Union, types.UnionType):
        return " or ".join(type_of(part, constraints if part in (int, float) else ()) for part in arguments)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is tuple:
        return f"list of {_in_a_list(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping from {type_of(arguments[0])} to {type_of(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return "settings"
    return _bounded(PLAIN[annotation], constraints)


def models_in(annotation: Any) -> list[type[Frozen]]:
    """Return the nested configs that an annotation allows, by itself or in a union."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return [model for part in get_args(annotation) for model in models_in(part)]
    return []


def _in_a_list(annotation: Any) -> str:
    text = type_of(annotation)
    return f"({text})" if " " in text else text


def _bounded(name: str, constraints: Iterable[Any]) -> str:
    found = [c for given in constraints for c in (given.metadata if isinstance(given, FieldInfo) else [given])]
    low = [(getattr(c, key), sign) for c in found for key, sign in ABOVE if getattr(c, key, None) is not None]
    high = [(getattr(c, key), sign) for c in found for key, sign in BELOW if getattr(c, key, None) is not None]
    if low and high:
        return f"{_number(low[0][0])} {low[0][1]} {name} {high[0][1]} {_number(high[0][0])}"
    if low:
        return f"{name} {low[0][1].replace('<', '>')} {_number(low[0][0])}"
    return f"{name} {high[0][1]} {_number(high[0][0])}" if high else name


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
