"""Options that several commands share, declared once: a parameter that is a dataclass becomes an option per field."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_type_hints

Command = TypeVar("Command", bound=Callable[..., None])


def spread(command: Command) -> Command:
    """Return a command whose signature has the fields of each dataclass among its parameters, in their place.

    Fields are annotated as typer wants parameters to be, and may be dataclasses themselves. The command itself is
    called with the dataclasses.
    """
    hints = get_type_hints(command, include_extras=True)
    taken = {name: hints[name] for name in inspect.signature(command).parameters}

    @functools.wraps(command)
    def called_with_options(**values: Any) -> None:
        command(**{name: _gathered(kind, values) if _is_group(kind) else values[name] for name, kind in taken.items()})

    parameters = [
        option
        for name, parameter in inspect.signature(command).parameters.items()
        for option in (
            _options(taken[name]) if _is_group(taken[name]) else [_option(name, taken[name], parameter.default)]
        )
    ]
    called_with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called_with_options.__annotations__ = {option.name: option.annotation for option in parameters}
    return called_with_options  # type: ignore[return-value]


def _is_group(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind)


def _options(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        if _is_group(hints[field.name]):
            yield from _options(hints[field.name])
        elif field.default_factory is not dataclasses.MISSING:
            yield _option(field.name, hints[field.name], field.default_factory())
        else:
            default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
            yield _option(field.name, hints[field.name], default)


def _option(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _gathered(group: Any, values: Mapping[str, Any]) -> Any:
    """Return a group made of the values of its options."""
    hints = get_type_hints(group, include_extras=True)
    return group(
        **{
            field.name: _gathered(hints[field.name], values) if _is_group(hints[field.name]) else values[field.name]
            for field in dataclasses.fields(group)
        }
    )
