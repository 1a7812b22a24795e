"""Registry: the things of one kind by name, this project's own and those that installed packages bring."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, TypeVar

from pydantic import ValidationError

from trainables.errors import InputError, first_line, unknown
from trainables.values import Frozen, explain

T = TypeVar("T")
PREFIX = "robust_sweep."  # of every entry-point group
NAME = re.compile(r"[a-z][a-z0-9_]*")  # so that no name is a path, and every name can stand in a dotted key


class Registry(Mapping[str, T]):
    """A mapping from name to thing: a defense, an attack, a norm, ...

    A name is looked up among the things that were added, and then among the entry points of the group
    `robust_sweep.<plural>` of installed packages, which are imported when they are first asked for. An unknown name
    raises InputError with the nearest known one. An installed package cannot replace what was added.

    >>> COLOURS: Registry[int] = Registry("colour", "colours")
    >>> COLOURS.add_all(red=0xFF0000, green=0x00FF00)
    >>> COLOURS["red"]
    16711680
    """

    def __init__(self, kind: str, plural: str, *, config_of: Callable[[T], type[Frozen]] | None = None) -> None:
        self.kind = kind
        self.group = PREFIX + plural
        self.added: dict[str, T] = {}
        self._config_of = config_of
        self._loaded: dict[metadata.EntryPoint, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register `thing` under `name` and return it; raise ValueError for a name that is taken or no identifier."""
        if not NAME.fullmatch(name):
            raise ValueError(f"the name of a {self.kind} must be lower-case letters, digits and _, got {name!r}")
        if name in self.added:
            raise ValueError(f"the {self.kind} {name!r} is registered already")
        self.added[name] = thing
        return thing

    def add_all(self, **things: T) -> None:
        """Register several things by name."""
        for name, thing in things.items():
            self.add(name, thing)

    def __getitem__(self, name: str) -> T:
        """Return the thing of this name. All lookups pass here, so this is where further kinds of names resolve."""
        if name in self.added:
            return self.added[name]
        points = self._entry_points()
        if name not in points:
            raise unknown(self.kind, name, self)
        return self._load(points[name])

    def checked(self, name: object) -> str:
        """Return a name that is known; raise InputError for another."""
        if not isinstance(name, str) or name not in self:
            raise unknown(self.kind, name, self)
        return name

    def __contains__(self, name: object) -> bool:
        return name in self.added or name in self._entry_points()

    def __iter__(self) -> Iterator[str]:
        yield from self.added
        yield from self._entry_points()

    def __len__(self) -> int:
        return len(self.added) + len(self._entry_points())

    def build(self, value: object) -> object:
        """Return the settings that a mapping with a `name` describes, as the named thing's own config class.

        Anything but a mapping is returned as it is. Raise InputError for an unknown name and for wrong settings.
        """
        if not isinstance(value, dict):
            return value
        assert self._config_of is not None, f"a {self.kind} has no settings"
        config = self._config_of(self[self.checked(value.get("name"))])
        try:
            return config.model_validate(value)
        except ValidationError as error:
            raise InputError(explain(error)) from None

    def _entry_points(self) -> Mapping[str, metadata.EntryPoint]:
        found = _installed(tuple(sys.path)).get(self.group, {})
        for name in self.added.keys() & found.keys():
            raise InputError(
                f"the {self.kind} {name!r} is robust-sweep's own; the installed package "
                f"{_package_of(found[name])} must give its {self.kind} another name"
            )
        return found

    def _load(self, point: metadata.EntryPoint) -> T:
        if point not in self._loaded:
            try:
                self._loaded[point] = point.load()
            except Exception as error:
                raise InputError(
                    f"the {self.kind} {point.name!r} of the installed package {_package_of(point)} cannot be "
                    f"imported from {point.value!r}: {type(error).__name__}: {first_line(error)}"
                ) from error
        return self._loaded[point]


@functools.lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> Mapping[str, Mapping[str, metadata.EntryPoint]]:
    """Return the entry points of our groups, by group and name, of the packages installed on an import path."""
    groups: dict[str, dict[str, metadata.EntryPoint]] = {}
    for distribution in metadata.distributions(path=list(path)):
        for point in distribution.entry_points:
            if point.group.startswith(PREFIX):
                groups.setdefault(point.group, {}).setdefault(point.name, point)
    return groups


def _package_of(point: metadata.EntryPoint) -> str:
    return repr(point.dist.name) if point.dist is not None else "of " + repr(point.value)


def named(value: object) -> Any:
    """Let `dataset=digits` stand for `dataset.name=digits`."""
    return {"name": value} if isinstance(value, str) else value
