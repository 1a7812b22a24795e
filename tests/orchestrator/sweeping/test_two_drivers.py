"""Two real drivers at work on one store at once."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from killing import Driver, Snapshot, assert_same, drive, run_here, runs_in_mlflow, write_study

from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.claims import FOLDER
from orchestrator.storage.store import Store

UNIT = re.compile(r"(done|done by another driver) +((?:train|evaluate|transfer) .*? seed=\d)")
STALE_SECONDS = 10.0


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, epochs=12, steps=20)


@pytest.fixture
def plan(study):
    return expand(find_study(study, None))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_commands_at_once_share_the_work_and_both_end_with_the_full_table(study, plan, tmp_path):
    store = Store(tmp_path / "root")
    command = [sys.executable, "-m", "orchestrator", "run", study, "--root", store.root]
    with Driver(command, tmp_path / "one") as one, Driver(command, tmp_path / "two") as two:
        assert one.process.wait(600) == 0, one.text
        assert two.process.wait(600) == 0, two.text
    assert_same(plan, store, run_here(plan, Store(tmp_path / "reference")))
    ended = [UNIT.findall(driver.text) for driver in (one, two)]
    here = Counter(unit for units in ended for how, unit in units if how == "done")
    assert set(here.values()) == {1}, here  # no unit was run by both
    for units in ended:
        assert {unit for _, unit in units} == set(here)  # each driver knows of all
        assert {how for how, _ in units} == {"done", "done by another driver"}
    one_table, two_table = (driver.text.partition("A study whose")[2].partition("report ")[0] for driver in (one, two))
    assert one_table == two_table != ""
    assert [path.name for path in Path(store.root, FOLDER).iterdir()] == []
    assert runs_in_mlflow(store) == Counter(["parent", *plan.trainings])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_killed_driver_had_claimed_the_other_takes_over(study, plan, tmp_path):
    store = Store(tmp_path / "root")

    def both_are_at_work():
        return len(claimed(store)) == 2 and all(claimed(store).values()) and store.fingerprints("states")

    with (
        drive(study, store.root, tmp_path / "one", stale=STALE_SECONDS) as one,
        drive(study, store.root, tmp_path / "two", stale=STALE_SECONDS) as two,
    ):
        assert one.until(both_are_at_work), one.text
        one.kill(tree=True)
        before = Snapshot.of(store)
        assert len(claimed(store)) == 2
        assert two.process.wait(600) == 0, two.text
    before.assert_kept(store)
    assert_same(plan, store, run_here(plan, Store(tmp_path / "reference")))


def claimed(store):
    """Return what each driver has claimed."""
    return {name: json.loads(store.read_file(name) or b"{}") for name, _ in store.files(FOLDER)}
