"""Drivers killed for good at random moments, and started again by the same command until the study is finished."""

import logging
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from killing import Snapshot, assert_same, drive, run_here, runs_in_mlflow, write_study

from orchestrator.claims import FOLDER
from orchestrator.litter import TUNE
from orchestrator.lookup import find_study
from orchestrator.plan import expand, remainder
from orchestrator.store import Store

logger = logging.getLogger(__name__)

SEED = int(os.environ.get("ROBUST_SWEEP_TEST_SEED", "0"))
KILLS = 5  # at most; what is left then runs to its end


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_whose_driver_is_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path):
    study = write_study(tmp_path, epochs=10, steps=40)
    store = Store(tmp_path / "root")
    plan, moments = expand(find_study(study, store)), random.Random(SEED)
    logger.warning("seed %d", SEED)
    before = Snapshot({}, {})
    kills = 0
    while not remainder(plan, store).is_empty and kills < KILLS:
        with drive(study, store.root, tmp_path / "log") as driver:
            before = _killed(driver, store, before, moments)
        kills += 1
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
    assert [path.name for folder in (FOLDER, TUNE) for path in Path(store.root, folder).iterdir()] == []
    assert_same(plan, store, run_here(plan, Store(tmp_path / "reference")))


def _killed(driver, store, before, moments):
    """Kill a driver at a random moment, while it starts or after its first step; return what the store has then."""
    tree = moments.random() < 0.5
    if moments.random() < 0.25:
        at, delay = "in its start", moments.uniform(0.0, 12.0)
        driver.until(_after(delay))
    else:
        at, delay = "at work", moments.uniform(0.0, 6.0)
        driver.until(lambda: _has_stepped(store, before))
        driver.until(_after(delay))
    driver.kill(tree=tree)
    before.assert_kept(store)
    now = Snapshot.of(store)
    epochs = {model[:6]: len(seconds) for model, seconds in now.epochs.items()}
    with_workers = "with" if tree else "without"
    logger.warning("killed %s, %.2f s, %s workers: %d stored, epochs %s", at, delay, with_workers, len(now), epochs)
    return now


def _has_stepped(store, before):
    now = Snapshot.of(store)
    return now != before


def _after(seconds):
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until
