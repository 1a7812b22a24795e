"""Jobs that are really submitted: to a head with a dashboard and a token, all on loopback."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.plan import expand, remainder
from orchestrator.store import Store
from orchestrator.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef" * 4
STUDY_FILE = """\
from orchestrator.study import Study

STUDY = Study(
    name="sent",
    title="A study that is sent to a cluster",
    base={"dataset": "digits", "network.width": 4, "epochs": 1},
    space=({"defense": ("none", "rbf_mapping")},),
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
    examples=32,
)
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Head:
    """A Ray head of its own: its dashboard's address, and the environment of those who may use it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "token").write_text(TOKEN)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        self.environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": f"{folder}/token",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=2"]
        command += ["--node-ip-address=127.0.0.1", f"--port={free_port()}", f"--temp-dir={folder}/ray"]
        command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={port}", "--include-dashboard=true"]
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        with open(folder / "head.log", "wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        until = time.monotonic() + 180
        while not self._answers(port):
            assert self.process.poll() is None, (folder / "head.log").read_text()
            assert time.monotonic() < until
            time.sleep(1.0)

    @staticmethod
    def _answers(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        return False

    def stop(self):
        tree = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        for process in tree:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()

    def submit(self, *arguments, **environment):
        """Run `robust-sweep submit` in a folder that is not the checkout."""
        command = [sys.executable, "-m", "orchestrator", "submit", *arguments, "--address", self.address]
        here = self.environment | {"PYTHONPATH": str(ROOT)} | environment
        return subprocess.run(command, env=here, cwd=self.folder, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def head():
    folder = Path(tempfile.mkdtemp(prefix="rs"))  # a short name, since Ray's sockets lie below it
    found = Head(folder)
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_users_own_study_is_run_on_the_cluster_as_it_was_planned(head, tmp_path):
    (tmp_path / "mine.py").write_text(STUDY_FILE)
    root = tmp_path / "root"
    done = head.submit(f"{tmp_path}/mine.py:STUDY", "--root", str(root), "--shared", "--set", "epochs=2")
    assert done.returncode == 0, done.stdout + done.stderr
    namespace = {"Study": Study}
    exec(STUDY_FILE, namespace)
    plan = expand(namespace["STUDY"], overrides={"epochs": 2})
    assert remainder(plan, Store(root)).is_empty
    assert "A study that is sent to a cluster" in done.stdout  # the job's own output was followed
    logs = [file.read_bytes() for file in (head.folder / "ray").rglob("*") if file.is_file()]
    assert not [log for log in logs if TOKEN.encode() in log]


def test_a_job_that_fails_gives_its_exit_code(head, tmp_path):
    asked = ["quickstart", "--root", str(tmp_path), "--shared", "--set", "dataset=mnist", "--data", f"{tmp_path}/none"]
    done = head.submit(*asked)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "mnist" in done.stdout


def test_who_has_not_the_token_is_told_so(head, tmp_path):
    done = head.submit("quickstart", "--root", str(tmp_path), "--shared", RAY_AUTH_MODE="disabled")
    assert done.returncode == 2
    assert "must be sent its token" in done.stderr
