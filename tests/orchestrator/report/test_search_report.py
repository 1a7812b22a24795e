"""A search's report, from a history that was written by hand."""

import csv
import io
import json

import pytest
from PIL import Image
from rich.console import Console

from orchestrator.report.search import (
    SHOWN_TRIALS,
    best_table,
    importance_table,
    search_files,
    search_notes,
    search_terminal,
    trials_table,
    write_search_files,
)
from orchestrator.searching.history import History, SearchTrial
from orchestrator.storage.store import Store
from search_spaces.study import Study

CLEAN, ROBUST = "clean_accuracy", "robust_accuracy:pgd"
NONE, MADRY = {"defense.name": "none"}, {"defense.name": "madry"}
STUDY = Study(name="s", title="Width & <b>", base={"defense": "none"}, space=({},))
TRIALS = (
    SearchTrial(number=0, state="complete", label="none lr=0.1", values=(0.9, 0.125), settings=NONE),
    SearchTrial(number=1, state="failed", label="madry lr=9", error="DivergedError: nan"),
    SearchTrial(number=2, state="complete", label="madry lr=0.2", values=(0.5, 0.4), settings=MADRY),
    SearchTrial(number=3, state="complete", label="madry lr=0.3", values=(0.4, 0.3), settings=MADRY),
    SearchTrial(number=4, state="complete", label="none lr=0.1", values=(0.9, 0.125), same_as=0),
)
PRUNED = (
    SearchTrial(number=0, state="complete", label="none lr=0.1", values=(0.9,), probed={1: 0.5, 2: 0.7}),
    SearchTrial(number=1, state="pruned", label="none lr=0.2", probed={1: 0.3, 2: 0.41}),
)
IMPORTANCE = {CLEAN: {"defense.name": 0.75, "optimisation.lr": 0.25}, ROBUST: {"optimisation.lr": 0.9}}


def history_of(trials=TRIALS, objectives=(CLEAN, ROBUST), importance=IMPORTANCE, **facts):
    values = {
        "name": "mine",
        "study": STUDY,
        "command": "robust-sweep search s --trials 5",
        "objectives": objectives,
        "ranges": {"optimisation.lr": "float in [0.1, 9]"},
        "seeds": (0,),
        "sampler": "tpe",
        "pruner": "none",
        "storage": "sqlite:///x.db",
        "trials": trials,
        "importance": importance,
    }
    return History(**values | facts)


def texts(table):
    return {label: [entry.text for entry in entries] for label, entries in table.rows}


def bold(table):
    return {(label, entry.text) for label, entries in table.rows for entry in entries if entry.is_best}


def test_the_best_table_is_the_front_with_the_top_of_each_objective_bold():
    table = best_table(history_of())
    assert texts(table) == {"0  none lr=0.1": ["90.0", "12.5"], "2  madry lr=0.2": ["50.0", "40.0"]}
    assert bold(table) == {("0  none lr=0.1", "90.0"), ("2  madry lr=0.2", "40.0")}
    assert "Pareto front: 2 of 3 trials" in table.caption


def test_of_one_objective_the_best_are_ranked():
    table = best_table(history_of(PRUNED, objectives=(CLEAN,), importance={}))
    assert texts(table) == {"0  none lr=0.1": ["90.0"]}
    assert "Pareto" not in table.caption


def test_importance_is_ranked_over_all_objectives():
    assert texts(importance_table(history_of())) == {"optimisation.lr": ["25", "90"], "defense.name": ["75", "–"]}


def test_the_history_has_each_point_once_with_its_values_or_what_became_of_it():
    assert texts(trials_table(history_of())) == {
        "0  none lr=0.1": ["90.0", "12.5"],
        "1  madry lr=9": ["failed", ""],
        "2  madry lr=0.2": ["50.0", "40.0"],
        "3  madry lr=0.3": ["40.0", "30.0"],
    }
    pruned = texts(trials_table(history_of(PRUNED, objectives=(CLEAN,))))
    assert pruned["1  none lr=0.2"] == ["[41.0] pruned"]


def test_a_terminal_shows_the_last_trials_of_many():
    many = tuple(SearchTrial(number=i, state="complete", label=f"x{i}.", values=(0.1, 0.2)) for i in range(30))
    console = Console(width=100, file=io.StringIO())
    console.print(search_terminal(history_of(many)))
    text = console.file.getvalue()
    assert f"the last {SHOWN_TRIALS} of 30 trials" in text
    assert "29  x29." in text
    history, _, rest = text.partition("Importance")
    assert "5  x5." not in history
    assert rest


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        pytest.param(
            history_of(), "4 trials (3 complete, 1 failed), and 1 draw of a point already tried;", id="counts"
        ),
        pytest.param(history_of(), "1 failed: DivergedError: nan", id="failures"),
        pytest.param(history_of(), "`robust-sweep run best:mine` evaluates the Pareto front", id="what comes next"),
        pytest.param(
            history_of(), "fewer than 20 complete trials, importance (PED-ANOVA) is only a hint", id="few trials"
        ),
        pytest.param(history_of(seeds=(0, 4)), "Values are for seeds 0, 4", id="seeds"),
        pytest.param(
            history_of(PRUNED, objectives=(CLEAN,)),
            "the last value that was measured while it was trained",
            id="pruned",
        ),
        pytest.param(history_of(PRUNED, objectives=(CLEAN,)), "evaluates the 3 best", id="one objective"),
    ],
)
def test_notes_say_how_to_read_the_numbers(history, expected):
    assert any(expected in note for note in search_notes(history))


@pytest.mark.parametrize(
    ("history", "figures"),
    [
        pytest.param(history_of(), {"history.png", "pareto_front.png", "importance.png"}, id="two objectives"),
        pytest.param(
            history_of(PRUNED, objectives=(CLEAN,), importance={CLEAN: {"optimisation.lr": 1.0}}),
            {"history.png", "importance.png"},
            id="one objective",
        ),
        pytest.param(history_of(TRIALS[1:2], importance={}), set(), id="nothing complete"),
        pytest.param(history_of((), importance={}), set(), id="no trials"),
    ],
)
def test_the_files_are_there_and_the_figures_are_images(history, figures, tmp_path):
    files = search_files(history)
    assert set(files) == {"report.md", "report.html", "trials.csv"} | figures
    for name in figures:
        assert min(Image.open(io.BytesIO(files[name])).size) > 200
    places = write_search_files(history, Store(tmp_path), files)
    assert places["report.md"] == f"{tmp_path}/reports/search-mine/report.md"


def test_the_page_escapes_what_a_study_says_and_shows_tables_ranges_and_figures():
    page = search_files(history_of())["report.html"].decode()
    assert "Width &amp; &lt;b&gt;" in page
    for expected in ("90.0", "optimisation.lr", "float in [0.1, 9]", "data:image/png;base64", "--trials 5"):
        assert expected in page


def test_the_csv_has_every_trial_unrounded():
    rows = list(csv.DictReader(io.StringIO(search_files(history_of())["trials.csv"].decode())))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert (float(rows[0][CLEAN]), float(rows[0][ROBUST])) == (0.9, 0.125)
    assert rows[1][CLEAN] == ""
    assert rows[1]["error"] == "DivergedError: nan"
    assert rows[4]["same_as"] == "0"
    assert json.loads(rows[2]["settings"]) == {"defense.name": "madry"}
