"""`search` from end to end, in this process, on a real Ray and a real MLflow; then its best trials on test examples."""

import io

import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.cluster.resources import Resources
from orchestrator.commands.lookup import find_study
from orchestrator.commands.run import run_study
from orchestrator.commands.search import Request, run_search
from orchestrator.planning.plan import expand
from orchestrator.searching.history import load_history
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import remainder
from orchestrator.tracking.book import default_uri
from search_spaces.study import FloatRange, Study

STUDY = Study(
    name="searched",
    title="A searched study",
    base={"network.width": 4, "epochs": 1},
    space=({"defense": ("none",)},),
    search={"defense": ("none", "madry"), "optimisation.lr": FloatRange(low=1e-3, high=1e-2, log=True)},
    baseline={"defense": "none"},
    attacks={"fgsm": {"name": "fgsm", "eps": (0.05, 0.1)}, "pgd": {"name": "pgd", "eps": (0.1,), "steps": 2}},
    examples=32,
    scales={"quick": {"defense.attack.steps": 1}},
)
OBJECTIVES = "clean_accuracy,robust_accuracy:fgsm@0.1"
COMMON = {"resources": Resources(), "tracking_uri": None, "data_folder": "", "download": False}


def run(root, **settings):
    store, out = Store(root), io.StringIO()
    request = Request("my.py:STUDY", STUDY, objectives=OBJECTIVES, name="mine", **{"trials": 3} | settings)
    return run_search(request, store, console=Console(file=out, width=120), **COMMON), out.getvalue(), store


@pytest.fixture(scope="module")
def searched(ray_session, tmp_path_factory):
    root = tmp_path_factory.mktemp("searched")
    code, text, store = run(root)
    assert code == 0, text
    return root, text, store


def test_a_search_prints_its_trials_its_best_and_where_everything_is(searched):
    _, text, store = searched
    assert all(f"complete trial {number}: " in text for number in range(3))
    for expected in (
        *("3/3", "Pareto front", "Importance", "History", "clean_accuracy", "report.html", "pareto_front.png"),
        *("robust-sweep run best:mine", "mlflow ui", f"optuna-dashboard sqlite:///{store.root}/optuna.db"),
    ):
        assert expected in text


def test_a_search_leaves_its_history_and_its_report_in_the_store(searched):
    _, _, store = searched
    history = load_history(store, "mine")
    assert [trial.state for trial in history.trials] == ["complete"] * 3
    assert "--name mine --trials 3" in history.command
    assert store.read_file("reports/search-mine/report.html")
    evaluations = [record.evaluation for f in store.fingerprints("records") for record in store.load_records(f)]
    assert {e.attack.eps for e in evaluations if e.attack} == {(0.1,)}
    assert {e.split for e in evaluations} == {"validation"}


def test_each_model_of_a_search_has_a_run_below_the_search_s(searched):
    _, _, store = searched
    client = MlflowClient(default_uri(store))
    runs = client.search_runs([client.get_experiment_by_name("searched").experiment_id])
    (parent,) = (run for run in runs if run.info.run_name == "search-mine")
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.tags["robust_sweep.model"] for run in children} == store.fingerprints("checkpoints")
    assert all("validation_robust_accuracy/fgsm" in run.data.metrics for run in children)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert parent.data.params["objectives"] == "clean_accuracy, robust_accuracy:fgsm@0.1"


def test_a_finished_search_is_printed_again_at_once(searched):
    root, first, _ = searched
    code, text, _ = run(root)
    assert code == 0
    assert "nothing to run: all 3 trials are in the storage" in text
    assert text.partition("Pareto front")[2].splitlines()[1:6] == first.partition("Pareto front")[2].splitlines()[1:6]


def test_the_best_of_a_search_are_run_on_test_examples_under_every_attack(searched):
    _, _, store = searched
    out = io.StringIO()
    plan = expand(find_study("best:mine", store), asked="best:mine")
    assert len(plan.variants) == 1 + len(load_history(store, "mine").best)
    assert run_study(plan, store, console=Console(file=out, width=120), **COMMON) == 0
    assert remainder(plan, store).is_empty
    records = [store.load_records(f)[0].evaluation for f in plan.evaluations]
    assert {evaluation.split for evaluation in records} == {"test"}
    assert {evaluation.attack.name for evaluation in records if evaluation.attack} == {"fgsm", "pgd"}
    text = out.getvalue()
    assert "none (baseline)" in text
    assert all(trial.label in text for trial in load_history(store, "mine").best)
