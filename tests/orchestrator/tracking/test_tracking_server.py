"""A real tracking server that is killed in mid-sweep, and started again."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from killing import drive, kill, write_study
from mlflow import MlflowClient

from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import remainder
from orchestrator.tracking.book import EVALUATION, MODEL

START_SECONDS = 240.0  # it needs up to 70 on two free cores


class Server:
    """`mlflow server` on loopback, on the same port and database each time that it is started."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri, self.folder, self.process = f"http://127.0.0.1:{self.port}", folder, None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", f"{self.folder}/artifacts"]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self):
        tree = [psutil.Process(self.process.pid)]
        with contextlib.suppress(psutil.Error):
            tree += tree[0].children(recursive=True)
        for process in tree:
            kill(process)
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def logged(uri):
    """Return, by model, what a server has of the study: the runs' status and the evaluations that are logged."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("killed")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    assert sum(MODEL not in run.data.tags for run in runs) == (1 if runs else 0)
    found = {}
    for run in (run for run in runs if MODEL in run.data.tags):
        assert run.data.tags[MODEL] not in found
        evaluations = {tag.removeprefix(EVALUATION) for tag in run.data.tags if tag.startswith(EVALUATION)}
        found[run.data.tags[MODEL]] = (run.info.status, evaluations)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_tracking_server_that_is_killed_in_mid_sweep_has_every_run_once_it_is_back(server, tmp_path):
    study, store = write_study(tmp_path, epochs=12, steps=20), Store(tmp_path / "root")
    plan = expand(find_study(study, store))
    with drive(study, store.root, tmp_path / "log", uri=server.uri) as driver:
        assert driver.until(lambda: store.fingerprints("checkpoints")), driver.text
        server.kill()
        assert driver.process.wait(600) == 0, driver.text
    assert remainder(plan, store).is_empty  # it did not wait for the server
    assert "was not written" in driver.text
    server.start()
    with drive(study, store.root, tmp_path / "log", uri=server.uri) as driver:
        assert driver.process.wait(600) == 0, driver.text
    assert "was not written" not in driver.text
    wanted = {model: {f for f, e in plan.evaluations.items() if e.model == model} for model in plan.trainings}
    assert logged(server.uri) == {model: ("FINISHED", evaluations) for model, evaluations in wanted.items()}
    with drive(study, store.root, tmp_path / "log", uri=server.uri) as driver:
        assert driver.process.wait(600) == 0, driver.text
    assert "nothing to run" in driver.text
