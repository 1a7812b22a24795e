"""The headline and a section for each attack: scores under the judge's name for them, and their differences."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.planning.wording import assignments
from orchestrator.report.settings import attack_settings, crafted_on
from orchestrator.report.table import FLAG, MISSING, Entry, Heading, Section, Table, eps_text, shown
from orchestrator.report.words import metric_of
from orchestrator.summary import Column, Estimate, Summary
from orchestrator.summary.verdict import RED_FLAG
from search_spaces.study import CLEAN


def accuracy_sections(summary: Summary) -> tuple[Section, ...]:
    """Return the headline (clean and worst case), then one section for each attack."""
    worst = dict.fromkeys(column.name for column in summary.worst_cases)
    headline = [column for name in worst for column in summary.named(name)]
    title = f"Clean {metric_of(summary)}" + (" and worst case over all attacks" if headline else "")
    attacks = [_section(summary, _description(summary, name), summary.named(name)) for name in summary.attack_names]
    return (_section(summary, title, headline), *attacks)


def _description(summary: Summary, name: str) -> str:
    """Return an attack's column and settings and, for a transfer, where its examples come from."""
    attack = summary.plan.attack_of(name)
    source = crafted_on(summary.plan, name)
    crafted = f"crafted on {source}, " if source else ""
    return f"{name}: {crafted}{assignments(attack_settings(attack))}" if attack else name


def _section(summary: Summary, title: str, attacked: Sequence[Column]) -> Section:
    columns = (*summary.named(CLEAN), *attacked)
    headings = tuple(map(heading, columns))
    return Section(title, _accuracies(summary, columns, headings), _differences(summary, columns, headings))


def heading(column: Column) -> Heading:
    """Return a column's head, its name above its eps."""
    return Heading("", CLEAN) if column.name == CLEAN else Heading(column.name, eps_text(column.eps))


def _accuracies(summary: Summary, columns: Sequence[Column], headings: tuple[Heading, ...]) -> Table:
    best = {column: summary.best(column) for column in columns}
    rows = []
    for label in summary.labels:
        texts = [cell_text(summary, label, column) for column in columns]
        entries = (Entry(t, label in best[column]) for t, column in zip(texts, columns, strict=True))
        flag = f" {FLAG}" if label in summary.verdicts and summary.verdicts[label].overall == RED_FLAG else ""
        rows.append((shown(label, summary.plan.baselines) + flag, tuple(entries)))
    return Table(f"{metric_of(summary).capitalize()} in %", headings, tuple(rows))


def cell_text(summary: Summary, label: str, column: Column) -> str:
    """Write a row's accuracy in a column, in % with its standard error; a dash if there is none."""
    estimate = summary.score(label, column)
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
