import csv
import io
import json

from tiny_study import BIG, SMALL

from orchestrator.report.tidy import tidy_csv


def rows_of(summary):
    rows = csv.DictReader(io.StringIO(tidy_csv(summary)))
    return {(row["variant"], row["column"], float(row["eps"])): row for row in rows}


def test_one_row_a_variant_column_and_eps(summary_of):
    rows = rows_of(summary_of())
    attacked = [(name, eps) for name in ("fgsm", "pgd", "from_small", "worst case") for eps in (0.1, 0.2)]
    assert set(rows) == {(v, *key) for v in (SMALL, BIG) for key in [("clean", 0.0), *attacked]}


def test_fractions_are_not_rounded(summary_of):
    thirds = {0.1: "100"}
    rows = rows_of(summary_of({(BIG, "pgd", 0): thirds, (BIG, "pgd", 1): thirds}, otherwise="111"))
    row = rows[BIG, "pgd", 0.1]
    assert float(row["mean"]) == 1 / 3
    assert float(row["difference"]) == 1 / 3 - 1
    assert float(row["stderr"]) == 0.0
    assert (json.loads(row["n_correct"]), json.loads(row["n_examples"])) == (
        {"0": 1, "1": 1},
        {"0": 3, "1": 3},
    )


def test_every_number_traces_to_models_evaluations_and_settings(summary_of):
    summary = summary_of()
    row = rows_of(summary)[BIG, "worst case", 0.2]
    layout = summary.plan.layout
    parts = ("clean", "fgsm", "pgd", "from_small")
    assert json.loads(row["evaluations"]) == {str(s): [layout[BIG, p, s] for p in parts] for s in (0, 1)}
    assert json.loads(row["models"]) == {str(s): f for s, f in summary.plan.variants[1].models.items()}
    assert json.loads(row["attack"])["pgd"]["steps"] == "40"


def test_transfer_names_the_variant_it_was_crafted_on(summary_of):
    rows = rows_of(summary_of())
    assert [rows[BIG, name, 0.1]["crafted_on"] for name in ("from_small", "pgd")] == [SMALL, ""]


def test_unknown_numbers_are_empty(summary_of):
    rows = rows_of(summary_of({(BIG, "pgd", 0): None}, seeds=[0]))
    empty, single = rows[BIG, "pgd", 0.1], rows[BIG, "fgsm", 0.1]
    assert (empty["mean"], empty["difference"], empty["seeds"], empty["seeds_planned"]) == ("", "", "0", "1")
    assert (single["mean"], single["stderr"]) == ("1.0", "")
