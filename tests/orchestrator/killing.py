"""Drivers as processes to be killed, what a store holds at a moment, and a sweep that nothing interrupted."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from mlflow import MlflowClient

from orchestrator.sweeping.remainder import remainder
from orchestrator.sweeping.schedule import Schedule
from orchestrator.sweeping.sweep import load_datasets
from orchestrator.tracking.book import MODEL, default_uri
from trainables.work import Bench, perform

DRIVE = Path(__file__).with_name("drive.py")
FINAL = ("checkpoints", "records", "crafted")
GONE_SECONDS = 20.0  # that workers take to end after their driver; Ray's agents, which do not write, take 70
STUDY_FILE = """\
from search_spaces import Study, Transfer

STUDY = Study(
    name="killed",
    title="A study whose processes are killed",
    base={{"dataset": "digits", "network.width": 4, "epochs": {epochs}}},
    space=({{"defense": ("none", "rbf_mapping")}},),
    baseline={{"defense": "none"}},
    attacks={{"pgd_linf": {{"name": "pgd", "eps": (0.05, 0.1), "steps": {steps}}}}},
    transfers={{"transfer": Transfer(attack="pgd_linf", source={{"defense": "none"}})}},
    seeds=(0, 1),
    examples=128,
)
"""


def write_study(folder, *, epochs, steps=10):
    """Write a study of four trainings and twelve evaluations to a file; return how to name it."""
    (folder / "mine.py").write_text(STUDY_FILE.format(epochs=epochs, steps=steps))
    return f"{folder}/mine.py:STUDY"


class Driver:
    """A driver's process; a context manager that leaves none of its processes behind."""

    def __init__(self, command, log):
        self.log, self._tree = Path(log), []
        environment = os.environ | {"RAY_ADDRESS": "", "OMP_NUM_THREADS": "1"}
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)

    @property
    def text(self):
        return self.log.read_text()

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def until(self, condition, *, seconds=300.0):
        """Wait for a condition; return whether it came before the driver's end."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.has_ended:
                return False
            assert time.monotonic() < deadline, self.text
            time.sleep(0.01)
        return True

    def tree(self):
        """Return the processes that the driver has started, and those that they have."""
        with contextlib.suppress(psutil.Error):
            self._tree = psutil.Process(self.process.pid).children(recursive=True)
        return self._tree

    def workers(self):
        """Return the processes that run units."""
        return [process for process in self.tree() if "Unit" in _command(process)]

    def kill(self, *, tree):
        """Kill -9 the driver, with all that it has started or alone; its workers must then end by themselves."""
        started, workers = self.tree(), self.workers()
        self.process.kill()
        if tree:
            for process in started:
                kill(process)
        self.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=GONE_SECONDS)
        assert not alive, [_command(process) for process in alive]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        started = self.tree()
        self.process.kill()
        self.process.wait()
        for process in started:
            kill(process)


def drive(study, root, log, *, stale=3.0, address="", uri=""):
    """Start `drive.py`."""
    return Driver([sys.executable, str(DRIVE), study, str(root), str(stale), address, uri], log)


def kill(process):
    """Kill -9 a process if it is there."""
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        if process.is_running():
            os.kill(process.pid, signal.SIGKILL)


def _command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@dataclass(frozen=True)
class Snapshot:
    """What a store holds: when each entry was written, and the seconds of each epoch of each unfinished training.

    Seconds are measured, so an epoch that was trained again has others.
    """

    written: dict[str, int]
    epochs: dict[str, list[float]]

    def __len__(self):
        return len(self.written)

    @classmethod
    def of(cls, store):
        written = {
            f"{kind}/{path.name}": path.stat().st_mtime_ns
            for kind in FINAL
            for path in Path(store.root, kind).glob("*")
            if path.suffix != ".tmp"
        }
        states = store.fingerprints("states") - store.fingerprints("checkpoints")
        return cls(written, {f: _seconds(_history_of_state(store, f)) for f in states})

    def assert_kept(self, store):
        """Nothing that was there is written again, and no epoch of a saved state was trained again."""
        now = Snapshot.of(store)
        assert {name: now.written.get(name) for name in self.written} == self.written
        for model, seconds in self.epochs.items():
            found = (
                _seconds(store.load_history(model).history) if store.has("checkpoints", model) else now.epochs[model]
            )
            assert found[: len(seconds)] == seconds, model


def _history_of_state(store, fingerprint):
    _, values = store.load_state(fingerprint)
    (history,) = (value for key, value in _items(values) if key == "history")
    return [dict(_items(epoch)) for epoch in history["$list"]]


def _items(packed):
    return [(key, value) for key, value in packed["$dict"]]


def _seconds(history):
    return [metrics["seconds"] for metrics in history]


def run_here(plan, store, *, state_seconds=math.inf):
    """Run what a store lacks of a plan in this process, one unit after the other; return the store."""
    rest = remainder(plan, store)
    bench = Bench(store, {}, state_seconds, "cpu", _splits=load_datasets(plan, rest))
    schedule = Schedule(rest, slots=1)
    while not schedule.exhausted:
        unit = schedule.take()
        for _ in perform(unit.work, bench):
            pass
        schedule.finish(unit.name)
    return store


def assert_same(plan, store, other):
    """Two stores hold the same of a plan, but for the time that it took."""
    assert remainder(plan, store).is_empty
    assert store.fingerprints("states") == store.fingerprints("failures") == set()
    for kind in FINAL:
        assert store.fingerprints(kind) == other.fingerprints(kind), kind
    for model in plan.trainings:
        one, two = store.load_checkpoint(model), other.load_checkpoint(model)
        assert one.spec == two.spec
        assert [_timeless(m) for m in one.history] == [_timeless(m) for m in two.history]
        _assert_equal(one.tensors, two.tensors)
    for crafted in store.fingerprints("crafted"):
        _assert_equal(store.load_crafted(crafted), other.load_crafted(crafted))
    for evaluation in plan.evaluations:
        for one, two in zip(store.load_records(evaluation), other.load_records(evaluation), strict=True):
            assert (one.eps, one.queries) == (two.eps, two.queries)
            for name in ("correct", "prediction", "distance"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def _timeless(metrics):
    return {key: value for key, value in metrics.items() if not key.endswith("seconds")}


def _assert_equal(one, two):
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


def runs_in_mlflow(store):
    """Count the runs of each model, and of parents."""
    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("killed").experiment_id
    return Counter(run.data.tags.get(MODEL, "parent") for run in client.search_runs([experiment]))
