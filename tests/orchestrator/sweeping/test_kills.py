"""Drivers killed for good at random moments, and started again by the same command until the study is finished."""

import logging
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from killing import Snapshot, assert_same, drive, run_here, runs_in_mlflow, write_study

from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.claims import FOLDER
from orchestrator.storage.store import Store

logger = logging.getLogger(__name__)

SEED = int(os.environ.get("ROBUST_SWEEP_TEST_SEED", "0"))
START, TRAINING, EVALUATION = "in its start", "in training", "in evaluation"
SECONDS = {START: 12.0, TRAINING: 5.0, EVALUATION: 1.5}  # the latest kill after the start, a state or a record


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_whose_driver_is_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path):
    study = write_study(tmp_path, epochs=10, steps=40)
    store = Store(tmp_path / "root")
    plan, moments = expand(find_study(study, store)), random.Random(SEED)
    logger.warning("seed %d", SEED)
    before = Snapshot({}, {})
    for at in [*moments.sample([START, TRAINING, TRAINING], 3), EVALUATION]:
        with drive(study, store.root, tmp_path / "log") as driver:
            before = _killed(driver, store, before, at, moments)
    with drive(study, store.root, tmp_path / "log") as driver:
        assert driver.until(lambda: any(Path(store.root, "reports").rglob("*"))), driver.text
        driver.kill(tree=True)
        logger.warning("killed in the report: %s", sorted(p.name for p in Path(store.root, "reports").rglob("*.*")))
    before.assert_kept(store)
    before = Snapshot.of(store)
    with drive(study, store.root, tmp_path / "log") as driver:
        assert driver.process.wait(300) == 0, driver.text
        assert "none (baseline)" in driver.text
    before.assert_kept(store)
    assert runs_in_mlflow(store) == Counter(["parent", *plan.trainings])
    assert [path.name for path in Path(store.root, FOLDER).iterdir()] == []
    assert_same(plan, store, run_here(plan, Store(tmp_path / "reference")))


def _killed(driver, store, before, at, moments):
    """Kill a driver at a random moment after what `at` says; return what the store has then."""
    tree, delay = moments.random() < 0.5, moments.uniform(0.0, SECONDS[at])
    driver.until(lambda: at == START or _has_news(store, before, of="epochs" if at == TRAINING else "records/"))
    driver.until(_after(delay))
    driver.kill(tree=tree)
    before.assert_kept(store)
    now = Snapshot.of(store)
    epochs = {model[:6]: len(seconds) for model, seconds in now.epochs.items()}
    with_workers = "with" if tree else "without"
    logger.warning("killed %s, %.2f s, %s workers: %d stored, epochs %s", at, delay, with_workers, len(now), epochs)
    return now


def _has_news(store, before, *, of):
    now = Snapshot.of(store)
    if of == "epochs":
        return now.epochs != before.epochs
    return any(name.startswith(of) for name in now.written.keys() - before.written.keys())


def _after(seconds):
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until
