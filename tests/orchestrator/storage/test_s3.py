"""A root on S3: a real server on loopback, the real filesystem, a real Ray, the command line as a user calls it.

Each operation of the store over S3 is in test_store.py.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import psutil
import pytest
import torch
from made_up import record_of

from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage import claims
from orchestrator.storage.claims import FOLDER, Claims
from orchestrator.storage.remote import KEYS, RootError
from orchestrator.storage.store import KINDS, Store
from orchestrator.sweeping import sweep
from orchestrator.sweeping.remainder import remainder
from trainables.errors import InputError

STUDY_FILE = """\
from search_spaces.study import Study, Transfer

STUDY = Study(
    name="remote",
    title="A study whose root is remote",
    base={"dataset": "digits", "network.width": 4, "epochs": 2},
    space=({"defense": ("none", "rbf_mapping")},),
    attacks={"pgd": {"name": "pgd", "eps": (0.05, 0.1), "steps": 3}},
    transfers={"transfer": Transfer(attack="pgd", source={"defense": "none"})},
    seeds=(0,),
    examples=64,
)
"""
AWAY_SECONDS = 12.0  # longer than the filesystem's own retries


@pytest.fixture
def mine(tmp_path):
    """The study, as it is named on the command line, and its plan."""
    (tmp_path / "mine.py").write_text(STUDY_FILE)
    name = f"{tmp_path}/mine.py:STUDY"
    return name, expand(find_study(name))


@pytest.fixture
def uri(s3):
    return s3.uri(uuid.uuid4().hex)


@pytest.fixture
def store(uri):
    return Store(uri)


@pytest.fixture
def door(s3):
    yield s3.door
    with contextlib.suppress(OSError):
        s3.door.open()


def robust_sweep(*arguments, cwd, environment, code=0):
    command = [sys.executable, "-m", "orchestrator", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def fill(plan, store):
    """Put all that a plan wants into the store, made up."""
    for spec in plan.trainings.values():
        store.save_checkpoint(spec, {"x": torch.zeros(3)}, [{"loss": 1.0, "epoch": 1}])
    for spec in plan.evaluations.values():
        right, nothing = np.ones(64, bool), np.zeros(64)
        grid = spec.attack.eps if spec.attack else (0.0,)
        store.save_records([record_of(spec, eps, right, nothing, nothing, 0.5, 0, {}) for eps in grid])


# What goes wrong


def test_a_bucket_that_is_missing_is_refused(s3):
    with pytest.raises(InputError, match=r"root 's3://AKIA\w+:\*\*\*@nowhere/.* that can be written: .*NO_SUCH_BUCKET"):
        Store(s3.uri("x", bucket="nowhere")).check_writable()


def test_a_key_that_is_wrong_is_refused_at_once(s3, store):
    s3.check_keys(after=0)
    try:
        with pytest.raises(InputError, match=r"that can be written: .*INVALID_ACCESS_KEY_ID") as refused:
            store.patient().check_writable()
        with pytest.raises(RootError, match=r"root 's3://.*INVALID_ACCESS_KEY_ID") as unread:
            store.patient().fingerprints("records")
    finally:
        s3.check_keys(after="inf")
    assert "sEcReT" not in str(refused.value) + str(unread.value)


def test_a_server_that_is_away_is_refused(door, uri):
    door.shut()
    with pytest.raises(InputError, match=r"that can be written: .*NETWORK_CONNECTION"):
        Store(uri).check_writable()


@pytest.mark.slow
def test_a_server_that_is_away_ends_a_command_with_a_message(door, uri, mine, s3, tmp_path):
    door.shut()
    for command in ("status", "run"):
        output = robust_sweep(command, mine[0], "--root", uri, cwd=tmp_path, environment=s3.environment, code=2)
        assert output.startswith("error: root 's3://AKIAROBUSTSWEEP:***@bucket/"), output
        assert "NETWORK_CONNECTION" in output
        assert "Traceback" not in output


def test_an_unescaped_key_is_refused_and_not_shown():
    with pytest.raises(InputError, match=r"root 's3://KEY:\*\*\*@bucket/x' cannot be opened: Cannot parse URI"):
        Store("s3://KEY:se/cret@bucket/x").fingerprints("records")


# What it costs


def test_an_entry_is_written_in_one_request_and_read_in_two(s3, store):
    s3.requests()
    store.save_crafted("f", {"x": torch.zeros(1000)})
    assert len(s3.requests()) == 1
    store.load_crafted("f")
    assert len(s3.requests()) == 2
    store.save_crafted("large", {"x": torch.zeros(8 << 20)})
    s3.requests()
    store.load_crafted("large")
    assert len(s3.requests()) == 2


def test_a_history_that_is_longer_than_the_first_look_is_read_whole(s3, store, mine):
    spec = next(iter(mine[1].trainings.values()))
    history = [{"loss": 1 / epoch, "epoch": epoch} for epoch in range(1, 10_000)]
    store.save_checkpoint(spec, {"x": torch.zeros(1000)}, history)
    s3.requests()
    assert store.load_history(spec.fingerprint)[:2] == (spec, history)
    assert len(s3.requests()) == 3


def test_what_is_left_of_a_plan_is_two_listings_and_who_works_alone_looks_for_nobody(s3, store, mine):
    fill(mine[1], store)
    s3.requests()
    assert remainder(mine[1], store).is_empty
    assert len(s3.requests()) == 2
    with Claims(store) as alone:
        s3.requests()
        assert alone.done(["a"]) == set()
        s3.requests()
        for unit in ("a", "b"):
            assert alone.done([unit]) == set()
            assert alone.take([unit])
            alone.release([unit])
        requests = [request for request in s3.requests() if "GET" in request or "PUT" in request]
        assert len(requests) <= 2 * 4 + 2  # a look, a claim, a look, a release; and at most one heartbeat


# Claims, by a clock of whole seconds


def test_two_drivers_share_what_is_to_be_done(store, mine):
    fill(mine[1], store)
    model = next(iter(mine[1].trainings))
    with Claims(store) as one, Claims(store) as other:
        assert one.take(["a", "b"])
        assert not other.take(["b", "c"])
        assert other.take(["c"])
        one.release(["a", "b"])
        assert other.take(["b"])
        assert one.done([model, "a"]) == other.done([model, "a"]) == {model}
    assert store.files(FOLDER) == []


def test_a_driver_that_is_dead_by_the_stores_clock_holds_nothing(store, monkeypatch):
    monkeypatch.setattr(claims, "STALE_SECONDS", 3.0)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.5)
    store.write_file(f"{FOLDER}/dead.json", json.dumps({"a": time.time()}).encode())
    with Claims(store) as living, Claims(store) as other:
        assert living.take(["b"])
        assert not other.take(["a"])
        time.sleep(4.5)
        assert other.take(["a"])
        assert not other.take(["b"])


# Sweeps


@pytest.mark.slow
def test_workers_on_ray_reach_the_root_and_a_server_that_goes_away_costs_nothing(ray_session, store, mine, door):
    """It is shut when the first unit has ended, with others under way, and opened again some seconds later."""
    plan = mine[1]
    was_shut = threading.Event()

    class Shutter:
        def finished(self, unit):
            if not was_shut.is_set():
                was_shut.set()
                door.shut()
                threading.Timer(AWAY_SECONDS, door.open).start()

        def __getattr__(self, event):
            return lambda *arguments: None

    datasets = sweep.load_datasets(plan, remainder(plan, store))
    result = sweep.run_plan(plan, store, datasets, listeners=[Shutter()])
    assert was_shut.is_set()
    assert result.failures == {}
    assert remainder(plan, store).is_empty
    assert store.fingerprints("crafted")
    assert store.fingerprints("failures") == store.fingerprints("states") == set()
    fs, root = store.filesystem()
    assert {info.path.removeprefix(f"{root}/").partition("/")[0] for info in _all(fs, root)} <= {*KINDS, FOLDER}


@pytest.mark.slow
def test_keys_and_endpoint_of_the_drivers_environment_reach_workers_that_have_none(
    ray_session, s3, store, mine, monkeypatch
):
    for name in KEYS:
        if name in s3.environment:
            monkeypatch.setenv(name, s3.environment[name])
    plan = expand(mine[1].study, overrides={"defense": "none", "epochs": 1})
    short = Store(f"s3://{store.filesystem()[1]}")
    result = sweep.run_plan(plan, short, sweep.load_datasets(plan, remainder(plan, short)))
    assert result.failures == {}
    assert remainder(plan, store).is_empty


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_line_from_a_first_run_to_a_report(s3, uri, mine, tmp_path):
    """First with keys in the URI, then with keys and endpoint from the environment."""
    study, plan = mine
    plain = {k: v for k, v in s3.environment.items() if not k.startswith("AWS")}
    robust_sweep("plan", study, "--root", uri, cwd=tmp_path, environment=plain)
    output = robust_sweep("run", study, "--root", uri, cwd=tmp_path, environment=plain)
    assert "report  s3://AKIAROBUSTSWEEP:***@bucket/" in output
    store = Store(uri)
    assert remainder(plan, store).is_empty
    before = {kind: _written(store, kind) for kind in KINDS}
    short = uri.partition("@")[2].partition("?")[0]
    there = {"cwd": tmp_path, "environment": s3.environment}
    s3.requests()
    again = robust_sweep("run", study, "--root", f"s3://{short}", **there)
    assert f"nothing to run: all {len(plan.evaluations)} evaluations are in the store" in again
    assert len(s3.requests()) <= 16 + 2 * len(plan.evaluations)
    counts = robust_sweep("status", study, "--root", f"s3://{short}", **there)
    assert f"evaluations     {len(plan.evaluations)}       0     0" in counts
    assert "none" in robust_sweep("report", study, "--root", f"s3://{short}", **there)
    model = next(iter(plan.trainings))
    assert f"model {model}" in robust_sweep("show", model[:12], "--root", f"s3://{short}", **there)
    assert {kind: _written(store, kind) for kind in KINDS} == before
    assert store.read_file("reports/remote/report.html")
    assert not (tmp_path / "s3:").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_whose_driver_is_killed_goes_on_from_what_s3_has(s3, uri, mine, tmp_path):
    study, plan = mine
    store = Store(uri)
    command = [sys.executable, "-m", "orchestrator", "run", study, "--root", uri]
    with subprocess.Popen(command, cwd=tmp_path, env=s3.environment, stdout=subprocess.DEVNULL) as driver:
        until = time.monotonic() + 300
        while not store.fingerprints("checkpoints"):
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        tree = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        for process in tree:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    before = {kind: _written(store, kind) for kind in ("checkpoints", "records")}
    robust_sweep("run", study, "--root", uri, cwd=tmp_path, environment=s3.environment)
    assert remainder(plan, store).is_empty
    for kind, entries in before.items():
        assert entries.items() <= _written(store, kind).items()


def _all(fs, root):
    from pyarrow.fs import FileSelector

    return fs.get_file_info(FileSelector(root, recursive=True))


def _written(store, kind):
    """When each entry of a kind was written."""
    return dict(store.files(kind))
