"""The notes below a report's tables: scale and spread, what is missing, worst cases, transfers, costs, verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.planning.plan import command
from orchestrator.report.sections.verdict import verdict_notes
from orchestrator.report.settings import crafted_on
from orchestrator.report.words import metric_of
from orchestrator.summary import Summary
from search_spaces.study import CLEAN
from trainables.attacks import ATTACKS


def notes(summary: Summary) -> tuple[str, ...]:
    """Return sentences that say how to read the numbers, with `code` in backticks."""
    return (
        _scale(summary),
        *_partial(summary),
        *_worst_case(summary),
        *_upper_bound(summary),
        *_transfers(summary),
        *_costs(summary),
        *verdict_notes(summary),
    )


def missing(summary: Summary) -> str:
    """Say how many evaluations have no record, why they failed, and what to run; empty if none is missing."""
    if not summary.missing:
        return ""
    counts = f"{len(summary.missing)} of {len(summary.plan.evaluations)} evaluations missing"
    errors = sorted({error.partition("\n")[0] for error in summary.failed.values()})
    why = f" ({len(summary.failed)} failed: {'; '.join(errors)})" if errors else ""
    return f"{counts}{why}: run `{command(summary.plan)}`."


def sample(summary: Summary) -> str:
    """Say how many seeds and examples the numbers are taken over."""
    sizes = sorted({tally.n for cell in summary.cells.values() for tally in cell.tallies.values()})
    examples = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    seeds = summary.plan.seeds
    count = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return f"{count}: {', '.join(map(str, seeds))}; n = {examples} test examples each"


def _scale(summary: Summary) -> str:
    if len(summary.plan.seeds) > 1:
        spread = "mean ± standard error over seeds; differences are paired by seed"
    else:
        spread = "one seed, so no standard error can be given"
    return f"{metric_of(summary).capitalize()} in % ({sample(summary)}): {spread}. eps is on the [0, 1] image scale."


def _partial(summary: Summary) -> Iterator[str]:
    if any(cell.is_partial for cell in summary.cells.values()):
        planned = len(summary.plan.seeds)
        yield f"[k/{planned}] marks a mean over k of {planned} seeds: the records of the others are missing."


def _worst_case(summary: Summary) -> Iterator[str]:
    for name in dict.fromkeys(column.name for column in summary.worst_cases):
        columns = summary.named(name)
        attacks = dict.fromkeys(part for column in columns for part in column.parts if part != CLEAN)
        yield (
            f"{name.capitalize()}: each example counts with its worst result, clean or under any attack at that eps "
            f"({', '.join(attacks)}), so the worst case is at or below the lowest of them."
        )
        for column in columns:
            if len(column.parts) - 1 < len(attacks):
                used = ", ".join(part for part in column.parts if part != CLEAN)
                yield f"{name.capitalize()} at eps {column.eps:g} covers {used} only."
    if left := _left_out(summary):
        yield f"The worst case leaves out eps {', '.join(f'{eps:g}' for eps in left)}, which not every attack has."


def _left_out(summary: Summary) -> list[float]:
    """Return the eps of attacks for which there is no worst case."""
    judged = {column.eps for column in summary.worst_cases}
    return sorted({c.eps for c in summary.named(*summary.attack_names)} - judged) if judged else []


STRONG = {"ensemble": "AutoAttack", "gradient-free": "gradient-free attack"}


def _upper_bound(summary: Summary) -> Iterator[str]:
    attacks = [member for attack in summary.plan.attacks.values() for member in attack.members]
    families = {ATTACKS[attack.name].family for attack in attacks}
    lacking = [name for family, name in STRONG.items() if family not in families]
    if families and lacking:
        yield f"The worst case is an upper bound: the attacks include no {' and no '.join(lacking)}."


def _transfers(summary: Summary) -> Iterator[str]:
    for name, transfer in summary.plan.study.transfers.items():
        source = crafted_on(summary.plan, name)
        if source is None:
            yield f"{name} has no column: none of the variants is its source {dict(transfer.source)}."
            continue
        if _meets_itself(summary, name):
            itself = "is attacked from another of its own seeds"
        else:
            itself = "has no other seed to be attacked from, so no row's worst case includes this attack"
        yield (
            f"{name}: examples crafted with {transfer.attack} on {source}, then shown to each variant; "
            f"a variant that is its own source {itself}."
        )


def _costs(summary: Summary) -> Iterator[str]:
    if summary.costs:
        yield (
            "Training times exclude validation. Trials may have shared the machine; with `--max-concurrent 1` each has "
            "it to itself. `prepare s` is the time before the first epoch."
        )


def _meets_itself(summary: Summary, name: str) -> bool:
    itself = [row for (row, column), source in summary.plan.sources.items() if column == name and row == source]
    return all(summary.cells[row, column].planned for row in itself for column in summary.named(name))
