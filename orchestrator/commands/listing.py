"""Studies, plans and store entries on the command line, as rich renderables or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.planning.keys import flatten
from orchestrator.planning.plan import Plan, expand
from orchestrator.planning.wording import as_text, counted
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import Remainder
from orchestrator.terminal_style import plain_table
from search_spaces import STUDIES
from search_spaces.study import SCALES
from trainables.errors import InputError
from trainables.metrics import EPOCH
from trainables.results import Record
from trainables.runtime.failures import Failure
from trainables.values import Frozen


def studies_table() -> Table:
    """List the named studies with the size of each scale."""
    table = plain_table()
    for heading in ("study", "question", "answers", *(f"{s}: models + evaluations" for s in SCALES)):
        table.add_column(heading, overflow="fold")
    for study in STUDIES.values():
        plans = [expand(study, scale=scale) for scale in SCALES]
        sizes = [f"{len(plan.trainings)} + {len(plan.evaluations)}" for plan in plans]
        table.add_row(study.name, study.question or study.title, f"{study.paper}, {study.table}", *sizes)
    return table


def plan_view(plan: Plan, rest: Remainder) -> RenderableType:
    """Show what a plan would run, what the store has of it and what each axis varies."""
    return Group(
        Text(f"{plan.study.name}: {plan.study.title}", style="bold"),
        Text(f"scale {plan.scale}, seeds {', '.join(map(str, plan.seeds))}"),
        Text(),
        _counts(plan, rest),
        *_craftings(plan),
        Text(),
        _axes(plan),
        Text(),
        _rows(plan, rest),
    )


def _counts(plan: Plan, rest: Remainder) -> Table:
    table = plain_table()
    table.add_column("")
    for heading in ("in all", "cached", "to run"):
        table.add_column(heading, justify="right")
    for name, total, cached in (
        ("trainings", len(plan.trainings), len(rest.trained)),
        ("evaluations", len(plan.evaluations), len(rest.evaluated)),
    ):
        table.add_row(name, str(total), str(cached), str(total - cached))
    return table


def _craftings(plan: Plan) -> tuple[Text, ...]:
    transferred = sum(spec.source is not None for spec in plan.evaluations.values())
    if not transferred:
        return ()
    verb = "is a transfer" if transferred == 1 else "are transfers"
    craftings = counted(len(plan.craftings), "crafting")
    return (Text(f"{counted(transferred, 'evaluation')} {verb}, of the examples of {craftings}"),)


def _axes(plan: Plan) -> Table:
    table = plain_table("axis", "varies", "values")
    for axis in plan.axes:
        table.add_row(axis.key, axis.phase, Text(", ".join(map(as_text, axis.values))))
    return table


def _rows(plan: Plan, rest: Remainder) -> Table:
    table = plain_table("row", "seed", "model", "trained", "evaluated")
    cells: dict[tuple[str, int], list[str]] = {}
    for (label, _, seed), fingerprint in plan.layout.items():
        cells.setdefault((label, seed), []).append(fingerprint)
    for variant in plan.variants:
        for seed, model in variant.models.items():
            wanted = cells[variant.label, seed]
            done = sum(fingerprint in rest.evaluated for fingerprint in wanted)
            label = variant.label + (" (baseline)" if plan.baselines.get(variant.label) == variant.label else "")
            trained = "yes" if model in rest.trained else "no"
            table.add_row(Text(label), str(seed), model, trained, f"{done}/{len(wanted)}")
    return table


def plan_json(plan: Plan, rest: Remainder) -> str:
    """Return a plan as JSON: counts, axes, rows and every spec with whether it is cached."""
    return json.dumps(
        {
            "study": plan.study.name,
            "scale": plan.scale,
            "seeds": plan.seeds,
            "overrides": plan.overrides,
            "axes": [{"key": a.key, "phase": a.phase, "values": a.values} for a in plan.axes],
            "rows": [{"label": v.label, "models": v.models} for v in plan.variants],
            "columns": plan.columns,
            "craftings": sorted(plan.craftings),
            "trainings": _specs(plan.trainings, rest.trained),
            "evaluations": _specs(plan.evaluations, rest.evaluated),
        },
        indent=2,
    )


def _specs(specs: Mapping[str, Frozen], cached: frozenset[str]) -> list[dict[str, Any]]:
    return [
        {"fingerprint": f, "cached": f in cached, "spec": spec.model_dump(mode="json")} for f, spec in specs.items()
    ]


def entry_view(store: Store, beginning: str) -> RenderableType:
    """Show the model, evaluation or failure whose fingerprint begins so; raise InputError unless there is just one."""
    kinds = {f: kind for kind in VIEWS for f in store.fingerprints(kind)}  # a finished entry hides its failure
    found = sorted(f for f in kinds if f.startswith(beginning))
    if len(found) != 1:
        what = f"{len(found)} entries begin so: {', '.join(found[:5])}" if found else "the store has no such entry"
        raise InputError(f"a fingerprint must name one model or evaluation, got {beginning!r}: {what}")
    return VIEWS[kinds[found[0]]](store, found[0])


def _model(store: Store, fingerprint: str) -> RenderableType:
    spec, history, provenance = store.load_history(fingerprint)
    records = [store.load_records(f) for f in store.fingerprints("records")]
    mine = [record for group in records for record in group if record.evaluation.model == fingerprint]
    return Group(
        Text(f"model {fingerprint}", style="bold"),
        _settings(spec),
        Text("\nhistory", style="bold"),
        _history(history),
        Text("\nrecords", style="bold"),
        _records(mine, spec.judge.metric),
        *_made_with(provenance),
    )


def _evaluation(store: Store, fingerprint: str) -> RenderableType:
    records = store.load_records(fingerprint)
    return Group(
        Text(f"evaluation {fingerprint}", style="bold"),
        _settings(records[0].evaluation),
        Text("\nrecords", style="bold"),
        _records(records, _metric(store, records[0].evaluation.model)),
        *_numbers(records[0]),
        *_made_with(records[0].provenance),
    )


def _made_with(provenance: Mapping[str, Any]) -> tuple[Text, ...]:
    return Text("\nmade with", style="bold"), Text(", ".join(f"{key} {value}" for key, value in provenance.items()))


def _settings(spec: Frozen) -> Table:
    table = Table.grid(padding=(0, 2))
    for key, value in flatten(spec.model_dump(mode="json")).items():
        table.add_row(f"  {key}", Text(as_text(value)))
    return table


def _history(history: list[dict[str, float]]) -> Table:
    names = list(history[0])
    names.insert(0, names.pop(names.index(EPOCH)))
    table = plain_table()
    for name in names:
        table.add_column(name, justify="right")
    for metrics in history:
        table.add_row(*(f"{metrics[name]:.4g}" if name in metrics else "" for name in names))
    return table


def _metric(store: Store, model: str) -> str:
    """Return what a model's mean score is called; "score" if the store does not have the model."""
    try:
        return store.load_history(model).spec.judge.metric
    except FileNotFoundError:
        return "score"


def _records(records: list[Record], metric: str) -> Table:
    table = plain_table()
    for name in ("evaluation", "asked", "source", "eps", "correct", "of", metric, "seconds"):
        table.add_column(name, justify="left" if name in ("evaluation", "asked", "source") else "right")
    for record in sorted(records, key=lambda r: (r.evaluation.source or "", _asked(r), r.eps)):
        table.add_row(
            record.evaluation.fingerprint,
            _asked(record),
            record.evaluation.source or "",
            f"{record.eps:g}",
            str(int(record.correct.sum())),
            str(len(record.correct)),
            f"{record.mean_score:.4f}",
            f"{record.seconds:.2f}",
        )
    return table


def _asked(record: Record) -> str:
    attack, measure = record.evaluation.attack, record.evaluation.measure
    return f"{attack.name} {attack.norm}" if attack else measure.name if measure else ""


def _numbers(record: Record) -> list[RenderableType]:
    """Return what a measure found, under its heading; nothing if it is no measure's record."""
    table = Table.grid(padding=(0, 2))
    for name, value in record.numbers.items():
        table.add_row(f"  {name}", f"{value:.6g}")
    return [Text("\nmeasured", style="bold"), table] if record.numbers else []


def _failure(store: Store, fingerprint: str) -> RenderableType:
    failure = store.load_failure(fingerprint)
    return Group(
        Text(f"failure of {fingerprint}", style="bold"),
        Text(f"{failure.kind}: {failure.error}", style="red"),
        *_epoch_before(failure),
        Text(f"log {failure.log or 'none'}", style="dim"),
        Text(f"\n{failure.traceback}"),
    )


def _epoch_before(failure: Failure) -> tuple[Text, ...]:
    """Return the metrics of the last epoch before a training diverged; nothing if it did not, or in its first one."""
    last = ", ".join(f"{name} {value:.4g}" for name, value in failure.last_metrics.items())
    return (Text(f"the epoch before: {last}"),) if last else ()


VIEWS = {"failures": _failure, "checkpoints": _model, "records": _evaluation}
