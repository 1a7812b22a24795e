"""What training cost, from checkpoints that a test writes, in numbers and in every format."""

import csv
import io

import pytest
import torch
from rich.console import Console
from tiny_study import BIG, SMALL, STUDY

from orchestrator.planning.plan import expand
from orchestrator.report import FORMATS, render, render_terminal
from orchestrator.report.sections.cost import cost_sections
from orchestrator.storage.store import Store
from orchestrator.summary import summarise
from orchestrator.summary.costs import COST_COLUMNS, training_costs
from search_spaces.study import Study

ASKING = STUDY.model_copy(update={"costs": True})
HARDWARE = {"device": "A CPU", "threads": 1}
BY_NAME = {column.name: column for column in COST_COLUMNS}


def train(plan, store, seconds, *, prepare=0.0, provenance=HARDWARE):
    """Save a checkpoint of each (row, seed) with an epoch for each of its seconds."""
    for (label, seed), each in seconds.items():
        history = [{"seconds": value, "epoch": number} for number, value in enumerate(each, 1)]
        history[0]["prepare_seconds"] = prepare
        model = next(v.models[seed] for v in plan.variants if v.label == label)
        store.save_checkpoint(plan.trainings[model], {"x": torch.ones(1)}, history, provenance)


@pytest.fixture
def costs_of(tmp_path):
    def read(seconds, study=ASKING, **settings):
        plan, store = expand(study), Store(tmp_path)
        train(plan, store, seconds, **settings)
        return training_costs(plan, store)

    return read


@pytest.fixture
def asked(fill):
    """A whole report: BIG takes 4 and 2 times as long as SMALL with seeds 0 and 1."""
    plan, store = fill(study=ASKING)
    train(plan, store, {(SMALL, 0): [1, 3], (SMALL, 1): [3, 3], (BIG, 0): [8, 8], (BIG, 1): [6, 6]}, prepare=4)
    return summarise(plan, store)


@pytest.mark.parametrize(
    ("measure", "mean", "stderr"),
    [
        ("s/epoch", 7.0, 1.0),
        ("s/epoch ratio", 3.0, 1.0),
        ("epochs", 2.0, 0.0),
        ("prepare s", 4.0, 0.0),
        ("total s", 18.0, 2.0),
        ("total s ratio", (20 / 8 + 16 / 10) / 2, (20 / 8 - 16 / 10) / 2),
    ],
)
def test_a_measure_is_a_mean_over_seeds_and_a_ratio_is_paired_by_seed(asked, measure, mean, stderr):
    estimate = asked.costs.estimate(BIG, BY_NAME[measure])
    assert (estimate.mean, estimate.stderr, estimate.n) == (pytest.approx(mean), pytest.approx(stderr), 2)


def test_a_ratio_uses_only_the_seeds_that_both_rows_have(costs_of):
    costs = costs_of({(SMALL, 1): [2], (BIG, 0): [9], (BIG, 1): [6]})
    ratio = costs.estimate(BIG, BY_NAME["s/epoch ratio"])
    assert (ratio.mean, ratio.stderr, ratio.n) == (3.0, None, 1)


def test_a_study_without_baseline_has_no_ratios(costs_of):
    costs = costs_of({(BIG, 0): [9]}, study=ASKING.model_copy(update={"baseline": {}}))
    assert costs.estimate(BIG, BY_NAME["s/epoch"]).mean == 9
    assert costs.estimate(BIG, BY_NAME["s/epoch ratio"]) is None


def test_rows_that_share_their_models_are_one(tmp_path):
    study = Study(
        name="at_test_time",
        title="",
        base={"dataset": "digits"},
        space=({"defense": ("none",)}, {"defense": ("rbf_cnn",), "inference.beta2": (0.0, 1.0)}),
        baseline={"defense": "none"},
        costs=True,
    )
    costs = training_costs(expand(study), Store(tmp_path))
    assert list(costs.models) == ["none", "rbf_cnn"]
    assert costs.baselines == {"none": "none", "rbf_cnn": "none"}


def test_what_did_not_ask_has_no_costs(summary_of):
    summary = summary_of()
    assert summary.costs is None
    assert cost_sections(summary) == ()


def test_numbers_have_three_digits_and_say_what_is_missing(fill):
    plan, store = fill(study=ASKING)
    train(plan, store, {(SMALL, 0): [0.0125], (SMALL, 1): [0.0341], (BIG, 0): [1234.5]}, prepare=2e-6)
    (section,) = cost_sections(summarise(plan, store))
    texts = {row: [entry.text for entry in entries] for row, entries in section.table.rows}
    assert texts[f"{SMALL} (baseline)"] == ["0.023 ± 0.011", "1 ± 0", "1 ± 0", "0 ± 0", "0.023 ± 0.011", "1 ± 0"]
    assert texts[BIG][:3] == ["1234 [1/2]", "98760 [1/2]", "1 [1/2]"]


def test_models_that_are_not_trained_are_dashes(summary_of):
    (section,) = cost_sections(summary_of(study=ASKING))
    assert {entry.text for _, entries in section.table.rows for entry in entries} == {"–"}


@pytest.mark.parametrize("name", ["report.md", "report.tex", "report.html"])
def test_every_format_has_the_table_and_its_hardware(asked, name):
    text = render(asked)[name].decode()
    assert "Training cost" in text
    assert "A CPU (1 thread)" in text
    assert "s/epoch ratio" in text
    assert text.count("3 $\\pm$ 1" if name.endswith("tex") else "3 ± 1") == 1


def test_the_terminal_has_the_table(asked):
    stream = io.StringIO()
    Console(file=stream, width=120).print(render_terminal(asked, width=120))
    (row,) = [line.split() for line in stream.getvalue().split("Training cost")[1].splitlines()[:9] if BIG in line]
    assert row[2:8] == ["7", "±", "1", "3", "±", "1"]


def test_csv_has_a_row_a_measure(asked):
    rows = list(csv.DictReader(io.StringIO(render(asked, {"csv": FORMATS["csv"]})["report.csv"].decode())))
    (row,) = [r for r in rows if (r["variant"], r["column"]) == (BIG, "training: total s")]
    assert (float(row["mean"]), float(row["stderr"]), row["seeds"]) == (18.0, 2.0, "2")
    assert row["hardware"] == "A CPU (1 thread)"
    assert {r["hardware"] for r in rows if not r["column"].startswith("training: ")} == {""}
