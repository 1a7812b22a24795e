"""`submit` to a real Ray with a dashboard and a token, on loopback."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from orchestrator.cluster.connection import RAY_ENVIRONMENT
from orchestrator.cluster.resources import Resources
from orchestrator.cluster.submission import FILE, load_submission, submission_of
from orchestrator.cluster.submit import check_address, stage, submit
from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import remainder
from trainables.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-token-of-these-tests-0123456789"
SECONDS = 300
ASKS_FOR_TOKEN = "must be sent its token: set RAY_AUTH_MODE=token"
STUDY = """\
from search_spaces import Study

MINE = Study(
    name="mine",
    title="Mine",
    base={"dataset": "digits", "network.width": 4},
    space=({"defense": ("none",)},),
    attacks={"fgsm_linf": {"name": "fgsm", "eps": (0.1,)}},
    examples=16,
)
"""


@pytest.mark.parametrize("address", ["http://head:8265", "https://ray.example", "http://127.0.0.1:8265/proxy"])
def test_a_dashboards_address_is_accepted(address):
    check_address(address)


@pytest.mark.parametrize(
    "address", ["auto", "head:8265", "127.0.0.1:6379", "ray://head:10001", "http://", "http://h:x"]
)
def test_what_is_no_dashboards_address_is_refused(address):
    with pytest.raises(InputError, match=re.escape(f"such as http://head:8265, got '{address}'")):
        check_address(address)


def test_a_server_that_is_no_dashboard_is_refused(small_plan):
    submission = submission_of(small_plan, root="s3://b/p", resources=Resources())
    answering = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", answering.stdout.readline())[0]
        with pytest.raises(InputError, match="answers, but not as a Ray dashboard does"):
            submit(submission, address=address, console=Console(file=io.StringIO()))
    finally:
        answering.terminate()
        answering.communicate()


def test_what_is_sent_is_this_code_and_the_submission_and_no_more(small_plan, tmp_path):
    submission = submission_of(small_plan, root="s3://b/p", resources=Resources())
    stage(submission, tmp_path)
    assert load_submission(tmp_path / FILE) == submission
    assert {entry.name for entry in tmp_path.iterdir()} == {"orchestrator", "trainables", "search_spaces", FILE}
    assert not list(tmp_path.rglob("__pycache__"))
    sent = {file.relative_to(tmp_path) for file in tmp_path.rglob("*.*") if file.is_file()} - {Path(FILE)}
    assert sent >= {file.relative_to(ROOT) for file in (ROOT / "orchestrator").rglob("*.jinja")}
    assert all((tmp_path / file).read_bytes() == (ROOT / file).read_bytes() for file in sent)


class Cluster:
    """A head of two CPUs with a dashboard and a token, and the command line that talks to it."""

    def __init__(self, folder):
        self.folder, self.port, self.dashboard, agent, client = folder, *(free_port() for _ in range(4))
        (folder / "token").write_text(TOKEN)
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY", "MLFLOW", "ROBUST"))}
        self.environment = (
            plain
            | RAY_ENVIRONMENT
            | {
                "OMP_NUM_THREADS": "1",
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
                "PATH": f"{Path(sys.executable).parent}:{plain['PATH']}",
                "HOME": str(folder),
            }
        )
        options = {
            "port": self.port,
            "dashboard-port": self.dashboard,
            "dashboard-agent-listen-port": agent,
            "ray-client-server-port": client,
            "dashboard-host": "127.0.0.1",
            "node-ip-address": "127.0.0.1",
            "num-cpus": 2,
            "temp-dir": folder / "ray",
        }
        with (folder / "head.log").open("w") as log:
            self.head = subprocess.Popen(
                [Path(sys.executable).with_name("ray"), "start", "--head", "--block"]
                + [f"--{name}={value}" for name, value in options.items()],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self.address = f"http://127.0.0.1:{self.dashboard}"

    def wait(self):
        """Wait until the dashboard takes jobs."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert self.head.poll() is None, (self.folder / "head.log").read_text()
            with contextlib.suppress(OSError):
                self.jobs()
                return
            time.sleep(0.5)
        raise TimeoutError((self.folder / "head.log").read_text())

    def jobs(self):
        request = urllib.request.Request(f"{self.address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def command(self, *words, **environment):
        """Start `robust-sweep submit`, in a working directory of its own that knows nothing of the package."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "submit", *map(str, words), "--address", self.address, "--shared"],
            env=self.environment | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": "auto"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def submit(self, *words, **environment):
        """Return the exit code and what was printed."""
        with self.command(*words, **environment) as process:
            out, error = process.communicate(timeout=SECONDS)
            return process.returncode, out + error

    def stop(self):
        processes = psutil.Process(self.head.pid).children(recursive=True)
        self.head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.head.wait(timeout=40)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.head.kill()
        self.head.wait()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="rs"))  # Ray's sockets want a short path, and pytest's is long
    cluster = Cluster(folder)
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_of_the_users_own_runs_on_the_cluster_and_shows_no_token(cluster, tmp_path):
    file = cluster.folder / "mine.py"
    file.write_text(STUDY)
    plan = expand(find_study(f"{file}:MINE"), overrides={"epochs": 1}, seeds=(3,))
    code, text = cluster.submit("mine.py:MINE", "--root", tmp_path, "--set", "epochs=1", "--seeds", "3")
    assert code == 0, text
    assert "report  " in text
    assert "worst case" in text
    assert remainder(plan, Store(tmp_path)).is_empty
    (job,) = (job for job in cluster.jobs() if job["submission_id"] in text)
    assert job["metadata"] == {"study": "mine.py:MINE", "scale": "quick", "root": str(tmp_path)}
    assert job["runtime_env"].keys() == {"working_dir"}
    assert TOKEN not in text + json.dumps(cluster.jobs())
    files = [f for f in (*(cluster.folder / "ray").rglob("*"), *tmp_path.rglob("*")) if f.is_file()]
    assert len(files) > 10
    assert not [file for file in files if TOKEN.encode() in file.read_bytes()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_that_fails_on_the_cluster_ends_with_its_exit_code(cluster, tmp_path):
    settings = ["defense=none", "examples=16", "epochs=1", "network.width=4"]
    settings += ["optimisation.optimizer=sgd", "optimisation.weight_decay=1.0", "optimisation.lr=1e9"]
    words = [word for setting in settings for word in ("--set", setting)]
    code, text = cluster.submit("quickstart", "--root", tmp_path, "--seeds", "0", *words)
    assert code == 1, text
    assert "DivergedError" in text
    code, text = cluster.submit("quickstart", "--root", tmp_path, "--gpus-per-trial", "0.5")
    assert code == 2, text
    assert "the largest node has 2 CPU and 0 GPU" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_lets_a_job_go_on_and_says_how_to_follow_and_stop_it(cluster, tmp_path):
    with cluster.command("quickstart", "--root", tmp_path, "--set", "epochs=500") as process:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if "trials to run" in line:
                break
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, error
    job = re.search(r"robust-sweep-quickstart-\w+", printed[0])[0]
    assert f"ray job logs --address {cluster.address} --follow {job}" in out
    assert f"ray job stop --address {cluster.address} {job}" in out
    assert state_of(cluster, job) == "RUNNING"
    stop = re.search(r"stop\s+(ray job stop .*)", out)[1].split()
    subprocess.run(
        [Path(sys.executable).with_name("ray"), *stop[1:]], env=cluster.environment, check=True, capture_output=True
    )
    assert state_of(cluster, job) == "STOPPED"


def state_of(cluster, job):
    return next(found["status"] for found in cluster.jobs() if found["submission_id"] == job)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_need_not_be_followed(cluster, tmp_path):
    code, text = cluster.submit("quickstart", "--root", tmp_path, "--set", "epochs=0.5", "--no-wait")
    assert code == 2, "what is wrong is said before anything is sent"
    code, text = cluster.submit("quickstart", "--root", tmp_path, "--gpus-per-trial", "0.5", "--no-wait")
    assert code == 0, text
    assert "ray job logs" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        pytest.param({"RAY_AUTH_MODE": "disabled"}, ASKS_FOR_TOKEN, id="not asked to send one"),
        pytest.param({"RAY_AUTH_TOKEN_PATH": ""}, ASKS_FOR_TOKEN, id="has none"),
        pytest.param({"RAY_AUTH_TOKEN": "another"}, ASKS_FOR_TOKEN, id="another"),
        pytest.param({"RAY_AUTH_TOKEN_PATH": "/none"}, "must be a file with the cluster's token", id="no file"),
    ],
)
def test_a_cluster_that_wants_its_token_says_so(cluster, tmp_path, environment, message):
    code, text = cluster.submit("quickstart", "--root", tmp_path, **environment)
    assert code == 2
    assert message in text
    assert "Traceback" not in text
