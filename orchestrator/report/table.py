"""TODO: one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MISSING = "–"
FLAG = "[!]"  # beside a row with a sign of gradient masking


@dataclass(frozen=True)
class Heading:
    """A column's head: `name` below `group`, which neighbours may share."""

    group: str
    name: str

    @property
    def flat(self) -> str:
        return f"{self.group} @ {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Entry:
    """What stands in a cell; the best of its column is shown bold."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """One row a variant: its label and its entries, one a heading. `stub` is the head of the labels."""

    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    stub: str = "variant"


@dataclass(frozen=True)
class Section:
    """A table, such as an attack's accuracies, and how its numbers differ from the baseline's if that is another."""

    title: str
    table: Table
    difference: Table | None


def shown(row: str, baselines: Mapping[str, str]) -> str:
    """Name a row and say if others are compared with it."""
    return f"{row} (baseline)" if baselines.get(row) == row else row


def eps_text(eps: float) -> str:
    """Write eps as short as it is exact: 0.1, or 8/255."""
    in_255 = eps * 255
    is_255th = len(f"{eps:g}") > 5 and abs(in_255 - round(in_255)) < 1e-9
    return f"{round(in_255)}/255" if is_255th else f"{eps:g}"
