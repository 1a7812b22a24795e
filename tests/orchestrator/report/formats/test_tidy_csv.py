import csv
import io
import json

from tiny_study import BIG, MEASURED, SMALL

from orchestrator.report.formats.tidy_csv import render_csv


def rows_of(summary):
    rows = csv.DictReader(io.StringIO(render_csv(summary, {})))
    return {(row["variant"], row["column"], float(row["eps"])): row for row in rows}


def rows_in(summary, column):
    rows = csv.DictReader(io.StringIO(render_csv(summary, {})))
    return {row["variant"]: row for row in rows if row["column"] == column}


def test_one_row_a_variant_column_and_eps(summary_of):
    rows = rows_of(summary_of())
    attacked = [(name, eps) for name in ("fgsm", "pgd", "from_small", "worst case") for eps in (0.1, 0.2)]
    areas = [(f"area: {name}", 0.2) for name in ("fgsm", "pgd", "from_small", "worst case")]
    assert set(rows) == {(v, *key) for v in (SMALL, BIG) for key in [("clean", 0.0), *attacked, *areas]}


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


def test_an_area_is_a_row_of_its_own(summary_of):
    rows = rows_in(summary_of({(BIG, "pgd", 0): {0.2: "1100"}}, seeds=[0]), "area: pgd")
    assert {variant: (row["mean"], row["eps"]) for variant, row in rows.items()} == {
        SMALL: ("1.0", "0.2"),
        BIG: ("0.875", "0.2"),
    }


def test_each_number_of_a_measure_is_a_row_that_traces_to_its_evaluations(summary_of):
    values = {(BIG, "slopes", seed): {"linf_norm": [0.1, 1 / 3, 1.0]} for seed in (0, 1)}
    summary = summary_of(study=MEASURED, values=values)
    row = rows_in(summary, "slopes: median linf_norm")[BIG]
    assert (row["mean"], row["seeds"], row["eps"], row["n_correct"]) == (str(1 / 3), "2", "", "")
    assert json.loads(row["measure"])["name"] == "gradients"
    assert json.loads(row["n_examples"]) == {"0": 4, "1": 4}
    layout = summary.plan.layout
    assert json.loads(row["evaluations"]) == {str(s): [layout[BIG, "slopes", s]] for s in (0, 1)}
    assert rows_in(summary, "slopes: median linf_norm")[SMALL]["mean"] == ""
