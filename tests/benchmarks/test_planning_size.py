"""What it takes to plan 1,000 units of which all but ten are cached, and how that grows. Run it by hand:

pytest -m benchmark -s tests/benchmarks/test_planning_size.py
"""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from large_study import STUDY
from rich.console import Console

from orchestrator.commands.listing import plan_view
from orchestrator.planning.plan import expand
from orchestrator.storage.store import KINDS, Store
from orchestrator.sweeping.remainder import remainder

HERE = Path(__file__).parent
UNITS, LEFT, SECONDS = 1000, 10, 5.0
GROWTH = 8  # as many units
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1])}


def cached(plan, root):
    """Put empty entries of all but the last units into a store; a plan looks at their names alone."""
    for kind, specs in (("checkpoints", plan.trainings), ("records", plan.evaluations)):
        Path(root, kind).mkdir(parents=True)
        for fingerprint in list(specs)[: len(specs) - LEFT // 2]:
            Path(root, kind, fingerprint + KINDS[kind]).touch()
    return Store(root)


def planned(store, seeds):
    """Plan a study as the plan command does; return the seconds that each part took, the plan and what is left."""
    start = time.perf_counter()
    plan = expand(STUDY, seeds=seeds)
    expanded = time.perf_counter()
    rest = remainder(plan, store)
    compared = time.perf_counter()
    Console(file=io.StringIO(), width=120).print(plan_view(plan, rest))
    ended = time.perf_counter()
    return {"expand": expanded - start, "remainder": compared - expanded, "view": ended - compared}, plan, rest


@pytest.mark.benchmark
def test_a_thousand_units_are_planned_within_seconds_and_time_grows_like_their_number(tmp_path):
    store = cached(expand(STUDY), tmp_path)
    seconds, plan, rest = planned(store, STUDY.seeds)
    more, larger, _ = planned(store, range(GROWTH * len(STUDY.seeds)))
    for found, of in ((seconds, plan), (more, larger)):
        parts = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in found.items())
        print(f"\n{len(of.trainings) + len(of.evaluations)} units: {parts}")
    ratio = sum(more.values()) / sum(seconds.values())
    print(f"{GROWTH} times the units: {ratio:.1f} times the time")
    assert len(plan.trainings) + len(plan.evaluations) == UNITS
    assert len(rest.fingerprints) == LEFT
    assert sum(seconds.values()) < SECONDS
    assert ratio < 2 * GROWTH


def spent(command):
    """Run a command; return its CPU and its wall-clock seconds, of which other people's work on the machine is part."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    after, wall = os.times(), time.perf_counter() - start
    return after.children_user + after.children_system - before.children_user - before.children_system, wall


@pytest.mark.benchmark
def test_the_plan_command_shows_a_thousand_units_within_seconds(tmp_path):
    cached(expand(STUDY), tmp_path)
    study = f"{HERE / 'large_study.py'}:STUDY"
    cpu, wall = min(spent([sys.executable, "-m", "orchestrator", "plan", study, "--root", tmp_path]) for _ in range(3))
    torch, _ = spent([sys.executable, "-c", "import torch"])
    print(
        f"\nrobust-sweep plan of {UNITS} units: {cpu:.1f} s of CPU, {wall:.1f} s in all; `import torch`: {torch:.1f} s"
    )
    assert cpu < SECONDS
