"""`run --debug` as a user types it, in a process of its own: no Ray, lines, tracebacks, and a debugger that stops."""

import os
import subprocess
import sys

import pytest

from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from trainables.defenses import DEFENSES

# A defense of the user's own, which stops in its loss; the study's other row fails.
STUDY_FILE = """\
from typing import Literal

from torch.nn.functional import cross_entropy

from search_spaces.study import Study
from trainables.defenses import DEFENSES
from trainables.defenses.by_loss import trained_by
from trainables.defenses.contract import DefenseConfig


class MineConfig(DefenseConfig):
    name: Literal["mine"] = "mine"
    stops: bool = True


def mine_loss(model, images, labels, *, config, generator):
    if config.stops:
        breakpoint()
    raise RuntimeError("the defense [is] wrong")


DEFENSES.add("mine", trained_by(mine_loss, MineConfig))
STUDY = Study(
    name="mine",
    title="Mine",
    base={"dataset": "digits", "network.width": 4, "epochs": 1},
    space=({"defense": ("none", "mine")},),
    baseline={"defense": "none"},
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
    examples=16,
)
"""
DRIVER = """
import sys
from orchestrator.commands.cli import main

try:
    main()
finally:
    print("imported", sorted({"ray", "torch", "mlflow"} & set(sys.modules)))
"""
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("ROBUST_SWEEP", "MLFLOW", "RAY"))}


@pytest.fixture
def debugged(tmp_path):
    """Run the study with words after it; `typed` is what the user types at a debugger's prompt."""
    (tmp_path / "mine.py").write_text(STUDY_FILE)

    def run(*words, typed=""):
        command = [sys.executable, "-c", DRIVER, "run", "mine.py:STUDY", "--root", "root", "--debug", *words]
        environment = ENVIRONMENT | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, input=typed, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_without_ray_what_works_is_recorded_and_what_fails_is_shown_with_its_traceback(debugged, tmp_path, monkeypatch):
    code, out, err = debugged("--set", "defense.stops=false")
    assert code == 1, err
    assert "imported ['mlflow', 'torch']" in out
    assert out.count("Traceback (most recent call last)") == 1
    assert 'raise RuntimeError("the defense [is] wrong")' in out
    lines = " ".join(out.split())
    for expected in ("start train none", "epoch 1/1 train none", "done train none", "1 trial failed", "mlflow ui"):
        assert expected in lines
    monkeypatch.setattr(DEFENSES, "added", dict(DEFENSES.added))  # the study file registers its defense here too
    plan, store = expand(find_study(f"{tmp_path}/mine.py:STUDY")), Store(tmp_path / "root")
    assert len(store.fingerprints("checkpoints") & set(plan.trainings)) == 1
    assert {store.load_failure(f).kind for f in store.fingerprints("failures")} == {"bug", "no model"}


def test_a_breakpoint_in_a_defense_stops_there_and_quit_ends_the_run(debugged, tmp_path):
    code, out, err = debugged(typed="p 'width', images.shape\nq\n")
    assert code == 130, err
    assert "('width', torch.Size([" in out
    assert "stopped with 1 training and 4 evaluations left: a breakpoint needs a terminal" in out
    assert Store(tmp_path / "root").fingerprints("failures") == set()


def test_an_address_is_refused(debugged, tmp_path):
    code, _, err = debugged("--address", "auto")
    assert code == 2
    assert err == ("error: --debug runs every trial in this process, got --address auto; leave one of them out\n")
    assert not (tmp_path / "root").exists()
