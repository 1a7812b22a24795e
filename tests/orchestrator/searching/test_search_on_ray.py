"""Searches on a real Ray, with real trainings on the digits."""

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.searching import search
from orchestrator.searching.history import load_history
from orchestrator.searching.ledger import Options
from orchestrator.searching.objectives import judged_by, objectives_of
from orchestrator.searching.space import search_space
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep
from orchestrator.sweeping.remainder import remainder
from search_spaces.study import FloatRange, IntRange, Study

STUDY = Study(
    name="tiny",
    title="A tiny study",
    base={"network.width": 4, "epochs": 2},
    space=({"defense": ("none",)},),
    search={
        "defense": ("none", "rbf_mapping"),
        "optimisation.lr": FloatRange(low=1e-3, high=1e-2, log=True),
        "defense.centers": IntRange(low=2, high=8),
    },
    attacks={"pgd": {"name": "pgd", "eps": (0.05,), "steps": 2}},
)
# One learning rate of these learns and the others do not, so that half of the trials are worth giving up.
RATES = STUDY.model_copy(
    update={
        "base": STUDY.base | {"epochs": 9},
        "search": {"defense": ("none",), "optimisation.lr": (1e-2, 1e-6, 2e-6, 3e-6, 4e-6)},
    }
)


def run(study, root, *, objectives="", **options):
    store, space = Store(root), search_space(study, scale="quick", overrides={}, seeds=None)
    found = objectives_of(objectives, space)
    space = judged_by(space, found)
    opened = search.open_search(space, found, Options("s", f"sqlite:///{root}/optuna.db", **options), store)
    corners = space.plan(space.corners())
    datasets = sweep.load_datasets(corners, remainder(corners, store))
    result = search.run_trials(opened, datasets, resources=Resources(), told=lambda trial: None)
    assert opened.error is None
    return opened, store, result


def test_two_objectives_are_searched_and_nothing_but_validation_examples_is_looked_at(ray_session, tmp_path):
    opened, store, result = run(STUDY, tmp_path, trials=4, sampler="nsgaii")
    trials = opened.ledger.trials()
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert not result.was_interrupted
    assert {f for trial in trials for f in trial.models.values()} == store.fingerprints("checkpoints")
    records = [record for f in store.fingerprints("records") for record in store.load_records(f)]
    assert {record.evaluation.split for record in records} == {"validation"}
    assert len(records) == 8
    for trial in trials:
        mine = {bool(r.evaluation.attack): r for r in records if r.evaluation.model in trial.models.values()}
        worst = (mine[False].correct & mine[True].correct).mean()
        assert trial.values == pytest.approx((mine[False].mean_score, worst))
    again, _, result = run(STUDY, tmp_path, trials=4, sampler="nsgaii")
    assert result.done == 0
    assert again.ledger.trials() == trials


def test_pruning_stops_a_training_early(ray_session, tmp_path):
    opened, store, result = run(
        RATES, tmp_path, objectives="clean_accuracy", trials=5, sampler="random", pruner="asha", sampler_seed=1
    )
    trials = opened.ledger.trials()
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert not result.was_interrupted
    for trial in pruned:
        assert max(trial.probed) < RATES.base["epochs"]
        assert trial.settings["optimisation.lr"] < 1e-2
        assert not store.has("checkpoints", trial.models[0])
    assert {f for t in trials if t.state == "complete" for f in t.models.values()} == store.fingerprints("checkpoints")
    assert store.fingerprints("states") == store.fingerprints("failures") == set()


STUDY_FILE = """\
from search_spaces import FloatRange, Study

STUDY = Study(
    name="killed",
    title="A search that is killed",
    base={"network.width": 4, "epochs": 2},
    space=({"defense": ("none",)},),
    search={"defense": ("none", "madry"), "optimisation.lr": FloatRange(low=1e-3, high=1e-2, log=True)},
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
    scales={"quick": {"defense.attack.steps": 1}},
)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_whose_driver_is_killed_goes_on_with_what_it_had_and_repeats_nothing(tmp_path):
    """Killed for good in mid-search, with its workers, and started again by the same command."""
    (tmp_path / "mine.py").write_text(STUDY_FILE)
    command = [sys.executable, "-m", "orchestrator", "search", f"{tmp_path}/mine.py:STUDY", "--trials", "6"]
    command += ["--root", f"{tmp_path}/root", "--sampler", "random"]
    environment = os.environ | {"RAY_ADDRESS": ""}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        seen = []
        for line in driver.stdout:
            seen.append(line)
            if "2/6" in line:
                break
        tree = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        for process in tree:
            with contextlib.suppress(psutil.Error):
                os.kill(process.pid, signal.SIGKILL)
    store = Store(tmp_path / "root")

    def written(model):
        return os.stat(f"{store.root}/checkpoints/{model}.safetensors").st_mtime_ns

    trained = {model: written(model) for model in store.fingerprints("checkpoints")}
    assert len(trained) >= 2, seen
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True)
    assert "6/6" not in done.stdout  # it counts only what was left
    history = load_history(store, "killed")
    assert [trial.state for trial in history.trials] == ["complete"] * 6
    assert len({trial.work for trial in history.trials}) == 6
    assert {f for trial in history.trials for f in trial.models.values()} == store.fingerprints("checkpoints")
    assert {model: written(model) for model in trained} == trained
