"""The parts of a report: sections of plain tables whose numbers are text already, and the way they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.summary import Estimate

MISSING = "–"
FLAG = "[!]"  # beside a row with a sign of gradient masking


@dataclass(frozen=True)
class Heading:
    """A column's head: `name`, below a `group` that neighbouring columns may share."""

    group: str
    name: str

    @property
    def flat(self) -> str:
        return f"{self.group} @ {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Entry:
    """The text of a cell; the best of its column is shown in bold."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """One row for each variant: its label, and one entry for each heading. `stub` is the head of the labels."""

    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    stub: str = "variant"


@dataclass(frozen=True)
class Section:
    """A table and, if the study has a baseline, the table of differences from it."""

    title: str
    table: Table
    difference: Table | None = None


def shown(row: str, baselines: Mapping[str, str]) -> str:
    """Return a row's label, marked if other rows are compared with it."""
    return f"{row} (baseline)" if baselines.get(row) == row else row


def eps_text(eps: float) -> str:
    """Write eps exactly and briefly: 0.1, or 8/255."""
    in_255 = eps * 255
    is_255th = len(f"{eps:g}") > 5 and abs(in_255 - round(in_255)) < 1e-9
    return f"{round(in_255)}/255" if is_255th else f"{eps:g}"


def written(estimate: Estimate, planned: int, form: str) -> str:
    """Write a mean and its standard error in the format `form`, and how many of the planned seeds it has if not all."""
    stderr = "" if estimate.stderr is None else f" ± {estimate.stderr:{form}}"
    partial = "" if estimate.n == planned else f" [{estimate.n}/{planned}]"
    return f"{estimate.mean:{form}}{stderr}{partial}"
