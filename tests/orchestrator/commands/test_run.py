"""`run` from end to end, in this process, on a real Ray and a real MLflow."""

import io

import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.cluster.resources import Resources
from orchestrator.commands.run import run_study
from orchestrator.planning.plan import command, expand
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import remainder
from orchestrator.tracking.book import default_uri
from search_spaces.study import Study

STUDY = Study(
    name="session",
    title="A session",
    base={"dataset": "digits", "network.width": 4, "epochs": 1},
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={"fgsm_linf": {"name": "fgsm", "eps": (0.1,)}},
    examples=32,
)
# One worker process: what does not run two units at once need not wait for a second process to start.
ALONE = Resources(max_concurrent=1)
CLOSED_PORT = "http://127.0.0.1:9"


def run(root, *, uri=None, retry_failed=False, resources=ALONE, **overrides):
    plan, store, out = expand(STUDY, overrides=overrides), Store(root), io.StringIO()
    code = run_study(
        plan,
        store,
        resources=resources,
        tracking_uri=uri,
        data_folder="",
        download=False,
        console=Console(file=out, width=120),
        retry_failed=retry_failed,
    )
    return code, out.getvalue(), plan, store


@pytest.fixture(scope="module")
def root(ray_session, tmp_path_factory):
    root = tmp_path_factory.mktemp("session")
    code, text, plan, store = run(root, resources=Resources())
    assert code == 0, text
    return root, text, plan, store


def test_a_run_prints_the_table_and_where_everything_is(root):
    _, text, plan, store = root
    for expected in (*(v.label for v in plan.variants), "worst case", "report.html", "mlflow ui", default_uri(store)):
        assert expected in text


def test_a_run_logs_each_model_once_and_running_again_writes_nothing(root):
    folder, _, plan, store = root
    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("session").experiment_id
    assert len(client.search_runs([experiment])) == 1 + len(plan.trainings)
    code, text, *_ = run(folder)
    assert code == 0
    assert "nothing to run" in text
    assert len(client.search_runs([experiment])) == 1 + len(plan.trainings)


def test_a_tracking_server_that_is_away_does_not_stop_a_run_and_is_caught_up_with(root):
    folder, *_ = root
    code, text, plan, store = run(folder, uri=CLOSED_PORT, epochs=2)
    assert code == 0
    assert remainder(plan, store).is_empty
    assert text.index("does not answer") < text.index("was not written")
    code, text, *_ = run(folder, epochs=2)
    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("session").experiment_id
    runs = client.search_runs([experiment], "params.epochs = '2' and tags.robust_sweep.model != ''")
    assert len(runs) == len(plan.trainings)
    assert all("robust_accuracy/fgsm_linf" in run.data.metrics for run in runs)
    assert "nothing to run" not in text
    assert "nothing to run" in run(folder, epochs=2)[1]


def test_a_run_with_failures_ends_with_exit_code_1_and_says_which(root):
    folder, *_ = root
    settings = {"optimisation.optimizer": "sgd", "optimisation.lr": 1e9, "optimisation.weight_decay": 1.0}
    code, text, plan, store = run(folder, defense="none", **settings)
    assert code == 1
    assert "DivergedError" in text
    assert len(remainder(plan, store).trainings) == 1
    for verb, more in (("status", ""), ("run", " --retry-failed")):
        assert f"{command(plan, verb)}{more}" in " ".join(text.split())
    assert store.load_failure(remainder(plan, store).trainings[0].fingerprint).kind == "diverged"


def test_retry_failed_runs_what_failed_and_nothing_else(root, tmp_path):
    settings = {"optimisation.optimizer": "sgd", "optimisation.weight_decay": 1.0, "optimisation.lr": [1e-3, 1e9]}
    code, text, plan, store = run(tmp_path, retry_failed=True, defense="none", **settings)
    assert code == 0
    assert "nothing to retry" in text
    run(tmp_path, defense="none", **settings)
    (bad,) = remainder(plan, store).trainings
    (good,) = (spec for spec in plan.trainings.values() if spec != bad)
    evaluation = next(f for f, e in plan.evaluations.items() if e.model == good.fingerprint)
    store.delete("records", evaluation)  # missing, but nothing that failed
    code, text, *_ = run(tmp_path, retry_failed=True, defense="none", **settings)
    assert code == 1
    assert "DivergedError" in text
    assert evaluation not in store.fingerprints("records")
