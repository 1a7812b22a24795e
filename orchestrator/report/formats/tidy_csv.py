"""The CSV format: one row for each variant, column and eps, unrounded, with its settings and fingerprints.

Areas under the curves against eps, measures and training costs follow as columns of their own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.report.formats.contract import Figures
from orchestrator.report.settings import attack_settings, measure_settings
from orchestrator.summary import COST_COLUMNS, Column, Estimate, Summary, area_of, curves

FIELDS = (
    "study",
    "scale",
    "variant",
    "column",
    "eps",
    "mean",
    "stderr",
    "seeds",
    "seeds_planned",
    "n_examples",
    "n_correct",
    "difference",
    "difference_stderr",
    "attack",
    "measure",
    "crafted_on",
    "models",
    "evaluations",
    "hardware",
)


def render_csv(summary: Summary, _: Figures) -> str:
    """Return CSV: accuracies as fractions, values by seed as JSON; a number that is unknown is an empty field."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    for variant in summary.plan.variants:
        for column in summary.columns:
            writer.writerow(_row(summary, variant.label, variant.models, column))
    for rows in (_area_rows, _measure_rows, _cost_rows):
        writer.writerows(rows(summary))
    return stream.getvalue()


def _row(summary: Summary, label: str, models: Mapping[int, str], column: Column) -> dict[str, Any]:
    cell = summary.cells[label, column]
    difference = summary.difference(label, column)
    row = _estimated(summary.score(label, column), cell.planned) | _about(summary, label, models, column.name)
    return row | {
        "eps": column.eps,
        "n_examples": json.dumps({seed: tally.n for seed, tally in cell.tallies.items()}),
        "n_correct": json.dumps({seed: tally.n_correct for seed, tally in cell.tallies.items()}),
        "difference": difference and difference.mean,
        "difference_stderr": difference and difference.stderr,
        "attack": json.dumps(_attacks(summary, column)),
        "crafted_on": summary.plan.sources.get((label, column.name)),
        "evaluations": json.dumps({seed: tally.evaluations for seed, tally in cell.tallies.items()}),
    }


def _area_rows(summary: Summary) -> Iterator[dict[str, Any]]:
    for variant in summary.plan.variants:
        for name in curves(summary):
            last = summary.named(name)[-1]
            row = _estimated(area_of(summary, variant.label, name), summary.cells[variant.label, last].planned)
            yield row | _about(summary, variant.label, variant.models, f"area: {name}") | {"eps": last.eps}


def _measure_rows(summary: Summary) -> Iterator[dict[str, Any]]:
    for variant in summary.plan.variants:
        for name, measure in summary.plan.measures.items():
            found = summary.measurements[variant.label, name]
            for number in summary.numbers(name):
                row = _estimated(summary.measured(variant.label, name, number), found.planned)
                yield (
                    row
                    | _about(summary, variant.label, variant.models, f"{name}: {number}")
                    | {
                        "n_examples": json.dumps({seed: len(record.correct) for seed, record in found.records.items()}),
                        "measure": json.dumps(measure_settings(measure)),
                        "evaluations": json.dumps({s: [r.evaluation.fingerprint] for s, r in found.records.items()}),
                    }
                )


def _cost_rows(summary: Summary) -> Iterator[dict[str, Any]]:
    if (costs := summary.costs) is None:
        return
    for row, models in costs.models.items():
        for column in COST_COLUMNS:
            estimate = costs.estimate(row, column)
            about = _about(summary, row, models, f"training: {column.name}")
            yield _estimated(estimate, len(models)) | about | {"hardware": "; ".join(costs.hardware)}


def _about(summary: Summary, label: str, models: Mapping[int, str], column: str) -> dict[str, Any]:
    return {
        "study": summary.plan.study.name,
        "scale": summary.plan.scale,
        "variant": label,
        "column": column,
        "models": json.dumps(dict(models)),
    }


def _estimated(estimate: Estimate | None, planned: int) -> dict[str, Any]:
    return {
        "mean": estimate and estimate.mean,
        "stderr": estimate and estimate.stderr,
        "seeds": estimate.n if estimate else 0,
        "seeds_planned": planned,
    }


def _attacks(summary: Summary, column: Column) -> dict[str, dict[str, str]]:
    """Return the settings of each attack in a column: none for the clean one, several for a worst case."""
    attacks = {part: summary.plan.attack_of(part) for part in column.parts}
    return {part: attack_settings(attack) for part, attack in attacks.items() if attack}
