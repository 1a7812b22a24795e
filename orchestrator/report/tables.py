"""A Summary as sections of plain tables, rounded and worded once for every format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.aggregate import Column, Estimate, Summary
from orchestrator.report.provenance import assignments, attack_settings, source_of
from orchestrator.study import CLEAN

MISSING = "–"


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
    """One row a variant: its label and its entries, one a heading."""

    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]


@dataclass(frozen=True)
class Section:
    """An attack's accuracies, or the headline's, and how they differ from the baseline if there is one."""

    title: str
    accuracy: Table
    difference: Table | None


def sections(summary: Summary) -> tuple[Section, ...]:
    """Return the headline (clean and worst case) and one section an attack."""
    worst = dict.fromkeys(column.name for column in summary.worst_cases)
    headline = [column for name in worst for column in summary.named(name)]
    title = "Clean accuracy and worst case over all attacks" if headline else "Clean accuracy"
    attacks = [_section(summary, describe(summary, name), summary.named(name)) for name in summary.attack_names]
    return (_section(summary, title, headline), *attacks)


def describe(summary: Summary, name: str) -> str:
    """Name an attack's column and say what it is: its settings, and for a transfer where it comes from."""
    attack = summary.plan.attack_of(name)
    source = source_of(summary.plan, name)
    crafted = f"crafted on variant {source}, " if source else ""
    return f"{name}: {crafted}{assignments(attack_settings(attack))}" if attack else name


def eps_text(eps: float) -> str:
    """Write eps as short as it is exact: 0.1, or 8/255."""
    in_255 = eps * 255
    is_255th = len(f"{eps:g}") > 5 and abs(in_255 - round(in_255)) < 1e-9
    return f"{round(in_255)}/255" if is_255th else f"{eps:g}"


def _section(summary: Summary, title: str, attacked: Sequence[Column]) -> Section:
    columns = (*summary.named(CLEAN), *attacked)
    headings = tuple(Heading(*_heads(column)) for column in columns)
    return Section(title, _accuracies(summary, columns, headings), _differences(summary, columns, headings))


def _heads(column: Column) -> tuple[str, str]:
    return ("", CLEAN) if column.name == CLEAN else (column.name, eps_text(column.eps))


def _accuracies(summary: Summary, columns: Sequence[Column], headings: tuple[Heading, ...]) -> Table:
    best = {column: summary.best(column) for column in columns}
    rows = []
    for label in summary.labels:
        texts = [_accuracy(summary, label, column) for column in columns]
        entries = (Entry(t, label in best[column]) for t, column in zip(texts, columns, strict=True))
        shown = f"{label} (baseline)" if summary.plan.baselines.get(label) == label else label
        rows.append((shown, tuple(entries)))
    return Table("Accuracy in %", headings, tuple(rows))


def _accuracy(summary: Summary, label: str, column: Column) -> str:
    estimate = summary.accuracy(label, column)
    if estimate is None:
        return MISSING
    return f"{100 * estimate.mean:.1f}" + _spread(estimate, summary.cells[label, column].planned)


def _differences(summary: Summary, columns: Sequence[Column], headings: tuple[Heading, ...]) -> Table | None:
    compared = {label: baseline for label, baseline in summary.plan.baselines.items() if label != baseline}
    if not compared:
        return None
    rows = tuple((label, tuple(Entry(_difference(summary, label, column)) for column in columns)) for label in compared)
    names = set(compared.values())
    baseline = names.pop() if len(names) == 1 else "the baseline with the same other settings"
    return Table(f"Difference from {baseline} in percentage points, paired by seed", headings, rows)


def _difference(summary: Summary, label: str, column: Column) -> str:
    estimate = summary.difference(label, column)
    if estimate is None:
        return MISSING
    points = f"{100 * estimate.mean:+.1f}".replace("-", "−")
    return points + _spread(estimate, summary.cells[label, column].planned)


def _spread(estimate: Estimate, planned: int) -> str:
    stderr = "" if estimate.stderr is None else f" ± {100 * estimate.stderr:.1f}"
    return stderr if estimate.n == planned else f"{stderr} [{estimate.n}/{planned}]"
