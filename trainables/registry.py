"""Registry: the things of one kind by name, this project's own and those that installed packages bring."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
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
    raises InputError with the nearest known one. A name that was added hides an installed package's.

    >>> COLOURS: Registry[int] = Registry("colour", "colours")
    >>> COLOURS.add_all(red=0xFF0000, green=0x00FF00)
    >>> COLOURS["red"]
    16711680
    """

    def __init__(
        self,
        kind: str,
        plural: str,
        *,
        needs: Iterable[str] = (),
        config_of: Callable[[T], type[Frozen]] | None = None,
    ) -> None:
        """Name a kind of things, the attributes that each must have, and where its settings' class is."""
        self.kind = kind
        self.group = PREFIX + plural
        self.added: dict[str, T] = {}
        self._needs = tuple(needs)
        self._config_of = config_of
        self._loaded: dict[metadata.EntryPoint, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register `thing` under `name` and return it; raise ValueError for a name or a thing that cannot be."""
        if not NAME.fullmatch(name):
            raise ValueError(f"the name of a {self.kind} must be lower-case letters, digits and _, got {name!r}")
        if name in self.added:
            raise ValueError(f"the {self.kind} {name!r} is registered already")
        if problem := self._problem_of(thing):
            raise ValueError(f"the {self.kind} {name!r} {problem}")
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
        return self._load(name, points[name])

    def checked(self, name: object) -> str:
        """Return a name that is known; raise InputError for another."""
        if not isinstance(name, str) or name not in self:
            raise unknown(self.kind, name, self)
        return name

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.added or name in self._entry_points())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the thing of this name, or `default` for an unknown one."""
        if name in self:
            return self[name]
        return default

    def __iter__(self) -> Iterator[str]:
        yield from self.added
        yield from self._entry_points()

    def __len__(self) -> int:
        return len(self.added) + len(self._entry_points())

    def imported(self) -> Mapping[str, T]:
        """Return the things that are here already, importing no package that was not asked for."""
        points = self._entry_points().items()
        return self.added | {name: self._loaded[point] for name, (point, *_) in points if point in self._loaded}

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

    def _entry_points(self) -> Mapping[str, Sequence[metadata.EntryPoint]]:
        """Return the installed packages' entry points by name, without names that cannot be or that are taken."""
        found = _installed(tuple(sys.path)).get(self.group, {})
        return {name: points for name, points in found.items() if name not in self.added and NAME.fullmatch(name)}

    def _problem_of(self, thing: object) -> str:
        """Say what a thing lacks to be one of this kind; "" if nothing."""
        if missing := [name for name in self._needs if not hasattr(thing, name)]:
            what = thing.__name__ if isinstance(thing, type) else f"a {type(thing).__name__}"
            return f"must have {', '.join(self._needs)}, got {what} without {', '.join(missing)}"
        return ""

    def _load(self, name: str, points: Sequence[metadata.EntryPoint]) -> T:
        point, *others = points
        if others:
            packages = " and ".join(sorted(map(_package_of, points)))
            raise InputError(f"the {self.kind} {name!r} must be of one package, got {packages}; uninstall one")
        if point not in self._loaded:
            where = f"the {self.kind} {point.name!r} of the installed package {_package_of(point)}"
            try:
                thing = point.load()
            except Exception as error:
                raise InputError(
                    f"{where} cannot be imported from {point.value!r}: {type(error).__name__}: {first_line(error)}"
                ) from error
            if problem := self._problem_of(thing):
                raise InputError(f"{where} {problem}")
            self._loaded[point] = thing
        return self._loaded[point]


@functools.lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> Mapping[str, Mapping[str, Sequence[metadata.EntryPoint]]]:
    """Return the entry points of our groups, by group and name, of the packages installed on an import path.

    A package that is found twice, as in two folders of the path, counts once.
    """
    groups: dict[str, dict[str, list[metadata.EntryPoint]]] = {}
    seen: set[str] = set()
    for distribution in metadata.distributions(path=list(path)):
        if distribution.name in seen:
            continue
        seen.add(distribution.name)
        for point in distribution.entry_points:
            if point.group.startswith(PREFIX):
                groups.setdefault(point.group, {}).setdefault(point.name, []).append(point)
    return groups


def _package_of(point: metadata.EntryPoint) -> str:
    return repr(point.dist.name) if point.dist is not None else "of " + repr(point.value)


def names_of(dataclass: Any) -> tuple[str, ...]:
    """Return the names of a dataclass's fields: what a thing of that class has."""
    return tuple(field.name for field in fields(dataclass))


def named(value: object) -> Any:
    """Let `dataset=digits` stand for `dataset.name=digits`."""
    return {"name": value} if isinstance(value, str) else value
