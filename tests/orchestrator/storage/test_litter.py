import os
import time
from pathlib import Path

import pytest
import torch

from orchestrator.storage.claims import FOLDER, STALE_SECONDS, Claims
from orchestrator.storage.litter import clear_litter
from orchestrator.storage.store import Store

HALF = "0" * 32 + ".tmp"
LONG_AGO = 2 * STALE_SECONDS


@pytest.fixture
def driver(store):
    with Claims(store) as claims:
        yield claims


@pytest.fixture
def leave(store):
    """Leave a file under the root, as old as it is said to be."""

    def write(name, *, age=0.0):
        path = Path(store.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
        os.utime(path, (time.time() - age,) * 2)
        return path

    return write


def test_a_dead_driver_s_claims_go_and_a_living_one_s_stay(store, driver, leave):
    dead, alive = leave(f"{FOLDER}/dead.json", age=LONG_AGO), leave(f"{FOLDER}/alive.json")
    clear_litter(store)
    assert not dead.exists()
    assert alive.exists()
    assert driver.take(["a"])


def test_a_state_whose_model_is_trained_goes(small_plan, store, driver, save):
    trained, unfinished, *_ = small_plan.trainings
    save(small_plan.trainings[trained])
    for fingerprint in (trained, unfinished):
        store.save_state(fingerprint, {"state": torch.zeros(1)}, {})
    clear_litter(store)
    assert store.fingerprints("states") == {unfinished}


def test_what_is_half_written_goes_once_nobody_writes_to_it(store, driver, leave):
    folders = ("records", "states", "drivers", "tracking", "reports/small")
    old = [leave(f"{folder}/a.{HALF}", age=LONG_AGO) for folder in folders]
    old += [leave(f"probe.{HALF}", age=LONG_AGO)]
    kept = [leave(f"records/new.{HALF}")]
    kept += [leave(name, age=LONG_AGO) for name in ("records/theirs.tmp", f"else/a.{HALF}")]
    peer = leave(f"{FOLDER}/alive.json")
    clear_litter(store)
    assert all(path.exists() for path in old)  # they may be the other driver's
    peer.unlink()
    clear_litter(store)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)


def test_a_store_that_cannot_be_cleared_stops_nobody(store, driver, leave, caplog):
    class Frozen(Store):
        def delete_file(self, name):
            raise PermissionError(name)

    leave(f"{FOLDER}/dead.json", age=LONG_AGO)
    clear_litter(Frozen(store.root))
    assert "could not be deleted" in caplog.text
