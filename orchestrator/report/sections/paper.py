"""The sections of the papers' numbers in the table that a study answers, from `reference/results.csv`.

The numbers are copied from the papers with their probable errors; a note beside a number says what is doubtful about
it. That a number is listed does not mean that it was reproduced.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files

from orchestrator.report.table import MISSING, Entry, Heading, Section, Table
from search_spaces.study import Study

SHOWN = ("accuracy", "robust_accuracy", "certified_accuracy", "auc", "seconds", "seconds_per_epoch", "epochs")
PAPER_DATASETS = {
    "MNIST": "mnist",
    "Fashion-MNIST": "fashion_mnist",
    "CIFAR-10": "cifar10",
    "CIFAR-100": "cifar100",
    "SVHN": "svhn",
}
NUMBER = r"(?:A?\d+|[IVX]+)"
Row = Mapping[str, str]


def printed_sections(study: Study) -> tuple[Section, ...]:
    """Return one section for each dataset of each table that a study names and the papers print."""
    tables, datasets = tables_of(study.table), datasets_of(study.table)
    rows = [r for r in _rows() if r["paper"] == study.paper and r["table"] in tables and r["metric"] in SHOWN]
    keys = dict.fromkeys((r["table"], r["dataset"]) for r in rows if not datasets or r["dataset"] in datasets)
    return tuple(_section(*key, [r for r in rows if (r["table"], r["dataset"]) == key]) for key in keys)


def tables_of(text: str) -> frozenset[str]:
    """Return the numbers of the tables that a text names, such as `Tables 4 and 5 (CIFAR-10)`."""
    found = re.findall(rf"Tables? ({NUMBER}(?:(?:, | and ){NUMBER})*)", text)
    return frozenset(number for group in found for number in re.findall(NUMBER, group))


def datasets_of(text: str) -> frozenset[str]:
    """Return the datasets that a text names in parentheses."""
    within = re.findall(r"\(([^)]*)\)", text)
    return frozenset(
        PAPER_DATASETS[name] for part in within for name in re.split(r", | and ", part) if name in PAPER_DATASETS
    )


@cache
def _rows() -> tuple[Row, ...]:
    text = (files("orchestrator.report") / "reference" / "results.csv").read_text()
    return tuple(csv.DictReader(text.splitlines()))


def _section(table: str, dataset: str, rows: Sequence[Row]) -> Section:
    columns = list(dict.fromkeys(map(_column, rows)))
    cells = {(_label(row), _column(row)): row for row in rows}
    doubts = {note: number for number, note in enumerate(dict.fromkeys(r["note"] for r in rows if r["note"]), 1)}
    labels = dict.fromkeys(map(_label, rows))
    lines = tuple(
        (label, tuple(Entry(_text(cells.get((label, column)), doubts)) for column in columns)) for label in labels
    )
    caption = "As printed, accuracies in %; data, networks and attacks are the paper's, not those of the rows above"
    if doubts:
        caption += ". " + "; ".join(f"[{number}] {note}" for note, number in doubts.items())
    return Section(f"What the paper prints: Table {table}, {dataset}", Table(caption, tuple(columns), lines))


def _label(row: Row) -> str:
    return " ".join(filter(None, (row["defense"], row["model"], row["variant"])))


def _column(row: Row) -> Heading:
    name = "clean" if row["attack"] == "none" else row["attack"]
    settings = row["attack_params"] or (f"eps={row['eps']}" if row["eps"] not in ("", "0") else "")
    source = f"from {row['source_model']}" if row["threat"] == "transfer" else ""
    metric = "" if row["metric"] == "accuracy" else row["metric"]
    return Heading(" ".join(filter(None, (name, row["norm"], source))), " ".join(filter(None, (settings, metric))))


def _text(row: Row | None, doubts: Mapping[str, int]) -> str:
    if row is None:
        return MISSING
    return "".join(_parts(row, doubts))


def _parts(row: Row, doubts: Mapping[str, int]) -> Iterator[str]:
    scale = 100 if row["unit"] == "fraction" else 1
    yield f"{scale * float(row['value']):.4g}"
    if row["stderr"]:
        yield f" ± {scale * float(row['stderr']):.2g}"
    if row["note"]:
        yield f" [{doubts[row['note']]}]"
