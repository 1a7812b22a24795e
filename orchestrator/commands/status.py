"""The state of a study: its progress, and its failures by cause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import Plan, command
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import Remainder, only_failed, remainder
from orchestrator.terminal_style import plain_table
from trainables.runtime.failures import (
    BAD_INPUT,
    BUG,
    DIVERGED,
    NO_MODEL,
    NODE_LOST,
    OUT_OF_MEMORY,
    PROCESS_DIED,
    Failure,
)

EXAMPLES = 3
WHAT_TO_DO = {
    OUT_OF_MEMORY: "give a trial more: fewer at once (--max-concurrent), a larger --gpus-per-trial or "
    "--gpu-memory-per-trial, a smaller batch",
    DIVERGED: "lower optimisation.lr, or look at the epoch before: robust-sweep show {unit}",
    BAD_INPUT: "the settings and the data do not fit: the message says which",
    PROCESS_DIED: "the log says why; run again to go on from the last saved epoch",
    NODE_LOST: "the machines went, not the unit; run again to go on from the last saved epoch",
    NO_MODEL: "follows from the failed trainings above",
    BUG: "not the settings' fault: the traceback says where",
}


@dataclass(frozen=True)
class Cause:
    """Failures of one class whose messages differ in numbers only."""

    kind: str
    message: str
    units: tuple[str, ...]  # fingerprints
    log: str


def status_view(plan: Plan, store: Store) -> RenderableType:
    """Show counts of a plan's trainings and evaluations, then its failures by cause."""
    rest = remainder(plan, store)
    failed = only_failed(rest, store)
    parts: list[RenderableType] = [Text(f"{plan.study.name}: {plan.study.title}", style="bold"), _counts(rest, failed)]
    failures = {fingerprint: store.load_failure(fingerprint) for fingerprint in sorted(failed.fingerprints)}
    for cause in causes(failures):
        parts += [Text(), *_shown(cause, plan)]
    if failures:
        parts += [Text(), Text(f"run only these again: {command(plan)} --retry-failed")]
    return Group(*parts)


def causes(failures: Mapping[str, Failure]) -> list[Cause]:
    """Group failures, by fingerprint, that share their class and their message up to its numbers; largest first."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fingerprint, failure in failures.items():
        groups[failure.kind, _pattern(failure.error)].append(fingerprint)
    found = [
        Cause(kind, failures[units[0]].error, tuple(units), failures[units[0]].log)
        for (kind, _), units in groups.items()
    ]
    return sorted(found, key=lambda cause: (cause.kind == NO_MODEL, -len(cause.units)))


def _pattern(message: str) -> str:
    """Leave out of a message what differs from unit to unit: numbers and fingerprints."""
    return re.sub(r"\b[0-9a-f]{8,}\b|[-+]?\d[\d.e+-]*|\bnan\b|\binf\b", "#", message)


def _counts(rest: Remainder, failed: Remainder) -> Table:
    table = plain_table()
    for heading in ("", "done", "failed", "left"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, done, broken, left in (
        ("trainings", rest.trained, failed.trainings, rest.trainings),
        ("evaluations", rest.evaluated, failed.evaluations, rest.evaluations),
    ):
        table.add_row(name, str(len(done)), str(len(broken)), str(len(left) - len(broken)))
    return table


def _shown(cause: Cause, plan: Plan) -> Iterable[Text]:
    yield Text.assemble((f"{len(cause.units)} x {cause.kind}", "bold red"), f": {cause.message}")
    yield Text(f"  {WHAT_TO_DO.get(cause.kind, '').format(unit=cause.units[0])}", style="dim")
    if cause.log:
        yield Text(f"  log {cause.log}", style="dim")
    for unit in cause.units[:EXAMPLES]:
        yield Text(f"  {unit}  {_named(unit, plan)}")
    if len(cause.units) > EXAMPLES:
        yield Text(f"  and {len(cause.units) - EXAMPLES} more")


def _named(unit: str, plan: Plan) -> str:
    training = unit if unit in plan.trainings else plan.evaluations[unit].model
    name = f"{plan.name_of(training)} seed={plan.trainings[training].seed}"
    if unit in plan.trainings:
        return f"train {name}"
    attack = plan.evaluations[unit].attack
    return f"evaluate {name} {attack.name if attack else 'clean'}"
