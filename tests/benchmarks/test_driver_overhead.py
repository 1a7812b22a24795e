"""What 200 short trials cost their driver, early and late, and its memory. Run it by hand:

pytest -m benchmark -s tests/benchmarks/test_driver_overhead.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TRIALS, WARM = 200, 10  # the first trials wait for their workers
# The first half are trainings, the second evaluations, which MLflow is told more of: early and late ones of each.
SPANS = {"trainings": ((WARM, 55), (55, 100)), "evaluations": ((110, 155), (155, TRIALS))}
CPU_SECONDS = 0.1  # a trial, at most
MIB = 0.5  # a trial, at most
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1])}


@pytest.mark.benchmark
@pytest.mark.timeout(1200)
def test_a_late_trial_costs_the_driver_no_more_than_an_early_one(tmp_path):
    command = [sys.executable, str(HERE / "driver_meter.py"), str(tmp_path / "root"), str(TRIALS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    notes = {note["trial"]: note for note in map(json.loads, done.stdout.splitlines())}
    assert len(notes) == TRIALS

    def each(name, first, last):
        return (notes[last][name] - notes[first][name]) / (last - first)

    print()
    ratios = {}
    for kind, spans in SPANS.items():
        early, late = (each("cpu", *span) for span in spans)
        ratios[kind] = late / early
        print(
            f"{kind}: {1000 * early:.0f} ms of the driver's CPU a trial, {1000 * late:.0f} ms later, "
            f"{ratios[kind]:.2f} times; {each('seconds', *spans[1]):.2f} s a trial"
        )
    print(f"memory: {notes[50]['mib']:.0f} MiB after 50, {notes[TRIALS]['mib']:.0f} MiB after {TRIALS} trials")
    assert each("cpu", WARM, TRIALS) < CPU_SECONDS
    assert max(ratios.values()) < 2
    assert each("mib", 50, TRIALS) < MIB
