"""Adding a thing is one file and one registration: an installed package brings one of each kind, and a study uses them.

The toys' judge is no classifier: it compares a number, and scores by how near it is. So the study also shows that no
code but the judge, the dataset and the things made for them knows what kind of answer a model gives.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from orchestrator.planning.plan import expand
from orchestrator.report.formats import FORMATS
from orchestrator.storage.store import Store
from search_spaces import Study
from trainables.attacks import ATTACKS, CRITERIA, NORMS
from trainables.data import DATASETS
from trainables.defenses import DEFENSES
from trainables.errors import InputError
from trainables.judges import JUDGES
from trainables.measures import MEASURES, measure_spec
from trainables.networks import NETWORKS

HERE = Path(__file__).parent / "extensions"
REGISTRIES = {
    registry.group: registry
    for registry in (ATTACKS, CRITERIA, DATASETS, DEFENSES, FORMATS, JUDGES, MEASURES, NETWORKS, NORMS)
}
POINTS = {
    line.split(" = ")[0]: group.partition("]")[0]
    for group in (HERE / "robust_sweep_toys-1.0.dist-info" / "entry_points.txt").read_text().split("[")[1:]
    for line in group.splitlines()[1:]
    if line
}


@pytest.fixture
def toys(monkeypatch):
    """Install the toys for this test."""
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole command line on the toys' study: trainings, attacks, a transfer and a measure in Ray's workers."""
    root = tmp_path_factory.mktemp("root")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    command = [sys.executable, "-m", "orchestrator", "run", f"{HERE / 'study.py'}:STUDY", "--root", str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout


def test_each_toy_is_one_file_and_one_line():
    files = {file.stem for file in (HERE / "toys").glob("*.py")} - {"__init__"}
    assert files == set(POINTS)
    assert set(POINTS.values()) == set(REGISTRIES), "a toy of each kind"


@pytest.mark.parametrize(("name", "group"), POINTS.items())
def test_a_toy_is_found_by_its_name_while_its_package_is_installed(name, group, toys):
    registry = REGISTRIES[group]
    assert name in registry
    assert name in list(registry)
    assert registry[name] is registry[name]


@pytest.mark.parametrize(("name", "group"), POINTS.items())
def test_without_its_package_a_toy_is_unknown(name, group):
    with pytest.raises(InputError, match=rf"unknown {REGISTRIES[group].kind} '{name}'"):
        REGISTRIES[group][name]


def test_a_study_of_toys_runs_through_ray_and_is_read_in_the_words_of_its_judge(finished):
    root, text = finished
    assert "Clean closeness and worst case over all attacks" in text
    assert "validation_closeness" in text
    folder = root / "reports" / "toys"
    assert (folder / "closeness_against_eps.png").is_file()
    assert (folder / "best_row.txt").read_text().startswith("closeness: regressor noise=")
    for file in ("report.md", "report.csv", "report.tex", "report.html"):
        assert "accuracy" not in (folder / file).read_text().lower(), file
    assert "accuracy" not in text


def test_records_of_toys_hold_the_judges_scores(finished, toys):
    store = Store(finished[0])
    records = [record for f in store.fingerprints("records") for record in store.load_records(f)]
    attacked = [record for record in records if record.evaluation.attack]
    assert {record.evaluation.attack.norm for record in attacked} == {"rms"}
    assert any(((record.score > 0) & (record.score < 1)).any() for record in attacked), "a score is no yes or no"
    for record in records:
        assert record.prediction.dtype == "float32"
        # 1 - |error| / .5 is at least .9 where |error| is at most .05
        assert ((record.score >= 0.9 - 1e-6) == record.correct).mean() > 0.98


def test_a_worst_case_of_toys_is_the_lowest_score_of_each_example(finished, toys):
    from orchestrator.summary import summarise

    store, plan = Store(finished[0]), expand(_study())
    summary = summarise(plan, store)
    worst = next(column for column in summary.worst_cases if column.eps == 0.1)
    for label in summary.labels:
        for seed, tally in summary.cells[label, worst].tallies.items():
            parts = [plan.layout[label, part, seed] for part in worst.parts]
            scores = [next(r.score for r in store.load_records(f) if r.eps in (0.0, 0.1)) for f in parts]
            assert tally.score == pytest.approx(float(sum(map(min, zip(*scores, strict=True)))) / tally.n)


def test_mlflow_shows_toys_in_the_words_of_their_judge(finished):
    client = MlflowClient(f"sqlite:///{finished[0] / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("toys")
    runs = client.search_runs([experiment.experiment_id])
    names = {name for run in runs for name in run.data.metrics}
    assert {"clean_closeness", "robust_closeness/pgd_rms", "validation_closeness"} <= names
    assert not [name for name in names if "accuracy" in name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"defense": "madry"}, "defense madry is for classification, got dataset ink.*tolerance", id="defense"
        ),
        pytest.param(
            {"attack.pgd_rms.loss": "margin"}, "loss margin is for classification, got dataset ink", id="loss"
        ),
        pytest.param({"dataset": "digits"}, "defense regressor is for tolerance, got dataset digits", id="dataset"),
        pytest.param({"attack.pgd_rms.eps": (2.0,)}, r"eps must be in \(0, 1\] for norm rms, got 2", id="norm"),
    ],
)
def test_what_is_made_for_another_judge_is_refused_before_anything_runs(changes, message, toys):
    with pytest.raises(InputError, match=message):
        expand(_study(), overrides=changes)


def test_a_measure_for_another_judge_is_refused(toys):
    measures = {"slopes": measure_spec({"name": "gradients"})}
    with pytest.raises(InputError, match=r"measure\.slopes: measure gradients is for classification"):
        expand(_study().model_copy(update={"measures": measures}))


def _study() -> Study:
    namespace: dict[str, Study] = {}
    exec((HERE / "study.py").read_text(), namespace)
    return namespace["STUDY"]
