"""32 short trials through our sweep and through plain Ray Tune with Ray's own MLflow callback, in one run.

Both are whole processes: imports, Ray's start, 32 trainings of 2 epochs, the clean accuracy of each, MLflow in
SQLite. Ours also writes checkpoints, per-example records and the report. Run it by hand:

    pytest -m benchmark -s tests/benchmarks/test_short_trials.py
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

HERE = Path(__file__).parent
TRIALS, EPOCHS = 32, 2
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1])}


def seconds_of(*command, folder):
    """Time a command; it runs in a folder of its own, since MLflow leaves artifacts where it is."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - start


def runs_with_clean_accuracy(database):
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run for run in client.search_runs(experiments, max_results=100) if "clean_accuracy" in run.data.metrics]


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_ours_takes_at_most_a_third_of_plain_ray_tune(tmp_path):
    ours_root, plain_root = tmp_path / "ours", tmp_path / "plain"
    study = f"{HERE / 'short_trials.py'}:STUDY"
    ours = seconds_of(sys.executable, "-m", "orchestrator", "run", study, "--root", str(ours_root), folder=tmp_path)
    plain = seconds_of(
        sys.executable, str(HERE / "plain_tune.py"), str(plain_root), str(TRIALS), str(EPOCHS), folder=tmp_path
    )
    print(f"\n{TRIALS} trials: ours {ours:.1f} s, plain Ray Tune {plain:.1f} s, {plain / ours:.1f}x")
    assert len(runs_with_clean_accuracy(ours_root / "mlflow.db")) == TRIALS
    assert len(runs_with_clean_accuracy(plain_root / "mlflow.db")) == TRIALS
    assert ours <= plain / 3
