"""A Summary as tidy CSV: one row a variant, column and eps, unrounded, with what it takes to trace it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.report.aggregate import Column, Summary
from orchestrator.report.provenance import attack_settings, source_of

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
    "crafted_on",
    "models",
    "evaluations",
)


def tidy_csv(summary: Summary) -> str:
    """Return CSV: accuracies as fractions, what goes by seed as JSON; an empty field is an unknown number."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
    writer.writeheader()
    for variant in summary.plan.variants:
        for column in summary.columns:
            writer.writerow(_row(summary, variant.label, variant.models, column))
    return stream.getvalue()


def _row(summary: Summary, label: str, models: Mapping[int, str], column: Column) -> dict[str, Any]:
    cell = summary.cells[label, column]
    accuracy, difference = summary.accuracy(label, column), summary.difference(label, column)
    return {
        "study": summary.plan.study.name,
        "scale": summary.plan.scale,
        "variant": label,
        "column": column.name,
        "eps": column.eps,
        "mean": accuracy and accuracy.mean,
        "stderr": accuracy and accuracy.stderr,
        "seeds": len(cell.outcomes),
        "seeds_planned": cell.planned,
        "n_examples": json.dumps({seed: outcome.n for seed, outcome in cell.outcomes.items()}),
        "n_correct": json.dumps({seed: outcome.n_correct for seed, outcome in cell.outcomes.items()}),
        "difference": difference and difference.mean,
        "difference_stderr": difference and difference.stderr,
        "attack": json.dumps(_attacks(summary, column)),
        "crafted_on": source_of(summary.plan, column.name),
        "models": json.dumps(dict(models)),
        "evaluations": json.dumps({seed: outcome.evaluations for seed, outcome in cell.outcomes.items()}),
    }


def _attacks(summary: Summary, column: Column) -> dict[str, dict[str, str]]:
    """Return the settings of each attack in a column: none if clean, several in a worst case."""
    attacks = {part: summary.plan.attack_of(part) for part in column.parts}
    return {part: attack_settings(attack) for part, attack in attacks.items() if attack}
