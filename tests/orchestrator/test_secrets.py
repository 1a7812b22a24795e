"""Secrets stay where they were given: a real run and a real search, then a look at all that they left behind.

Their root, tracking server and storage have secrets in their URIs, their environment has more, and a training fails.
"""

import contextlib
import ipaddress
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from pyarrow.fs import FileSelector, FileType
from s3_server import SECRET

from orchestrator.storage.store import Store

STUDY_FILE = """\
from search_spaces import FloatRange, Study

STUDY = Study(
    name="secret",
    title="A study of which a training fails",
    base={"network.width": 4, "epochs": 2, "optimisation.optimizer": "sgd", "optimisation.weight_decay": 1.0},
    space=({"defense": ("none",), "optimisation.lr": (1e-3, 1e9)},),
    search={"defense": ("none",), "optimisation.lr": (1e-3, 1e9)},
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
    examples=32,
)
"""
IN_ENVIRONMENT = {
    "MLFLOW_TRACKING_PASSWORD": "mlflow-password-of-the-environment",
    "MLFLOW_TRACKING_TOKEN": "mlflow-token-of-the-environment",
    "AWS_SESSION_TOKEN": "session-token-of-the-environment",
    "RAY_AUTH_TOKEN": "ab" * 8 + "0123456789abcdef" + "cd" * 16,
}
TRACKING, STORAGE = "token-of-the-tracking-uri", "token-of-the-storage-uri"
SECRETS = (SECRET, TRACKING, STORAGE, *IN_ENVIRONMENT.values())
FORMS = {form.encode() for secret in SECRETS for form in (secret, quote(secret, safe=""), secret.encode().hex())}


@dataclass
class Observed:
    """What commands showed, and what their processes did while they ran; by the command's name."""

    store: Store
    folders: tuple[Path, ...]
    output: dict[str, str] = field(default_factory=dict)
    listening: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    command_lines: dict[str, list[str]] = field(default_factory=dict)

    def watch(self, name, command, environment, cwd):
        """Run a command to its end; look at its processes at its first line of output after Ray has started."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, cwd=cwd, env=environment, **pipes) as process:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if name not in self.listening and "epoch" not in line and "trial" in line:
                    self._look(name, psutil.Process(process.pid))
        self.output[name] = "".join(lines)

    def _look(self, name, process):
        self.listening[name], self.command_lines[name] = set(), []
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                self.command_lines[name].append(" ".join(each.cmdline()))
                sockets = each.net_connections("inet")
                self.listening[name] |= {(each.name(), s.laddr.ip) for s in sockets if s.status == psutil.CONN_LISTEN}

    def files(self):
        """Yield the name and content of all that was left: the store's, MLflow's, Optuna's, Ray's and Tune's."""
        fs, root = self.store.filesystem()
        for info in fs.get_file_info(FileSelector(root, recursive=True)):
            if info.type == FileType.File:
                yield info.path, self.store.read_file(info.path.removeprefix(f"{root}/"))
        for folder in self.folders:
            for path in folder.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    yield str(path), path.read_bytes()


@pytest.fixture(scope="module")
def observed(s3, tmp_path_factory):
    here = tmp_path_factory.mktemp("secrets")
    (here / "mine.py").write_text(STUDY_FILE)
    ray_folder = Path(tempfile.mkdtemp(prefix="rs", dir="/tmp"))  # short, since sockets' paths are limited
    seen = Observed(Store(s3.uri("secrets")), (here, ray_folder))
    environment = s3.environment | IN_ENVIRONMENT | {"RAY_AUTH_MODE": "token"}
    environment |= {"RAY_TMPDIR": str(ray_folder), "TMPDIR": str(ray_folder)}
    tracking = f"sqlite:///file:{here}/mlflow.db?uri=true&token={TRACKING}"
    storage = f"sqlite:///file:{here}/optuna.db?uri=true&token={STORAGE}"
    common = ["--root", seen.store.root, "--tracking-uri", tracking]
    command = [sys.executable, "-m", "orchestrator"]
    run = [*command, "run", f"{here}/mine.py:STUDY", *common]
    search = [*command, "search", f"{here}/mine.py:STUDY", *common, "--trials", "2", "--storage", storage]
    search += ["--sampler", "random", "--sampler-seed", "1"]
    seen.watch("run", run, environment, here)
    seen.watch("search", search, environment, here)
    environment["ROBUST_SWEEP_ROOT"] = seen.store.root
    seen.watch("status", [*command, "status", f"{here}/mine.py:STUDY"], environment, here)
    yield seen
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_and_a_search_did_what_they_were_asked_for(observed):
    assert "DivergedError" in observed.output["run"]
    assert "report  s3://AKIAROBUSTSWEEP:***@bucket/secrets/reports/secret/report.html" in observed.output["run"]
    assert "diverged" in observed.output["status"]
    assert "optuna.db?uri=true&token=***" in observed.output["search"]
    assert "mlflow.db?uri=true&token=***" in observed.output["search"]
    store, (here, ray_folder) = observed.store, observed.folders
    assert all(store.fingerprints(kind) for kind in ("checkpoints", "records", "failures"))
    assert store.files("searches")
    with contextlib.closing(sqlite3.connect(here / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone()[0] >= 3
    assert list(here.rglob("report.html"))  # MLflow's artifact
    assert list(ray_folder.glob("ray/session_2*/logs/raylet.out"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_secret_is_printed(observed):
    for name, output in observed.output.items():
        assert not [form for form in FORMS if form in output.encode()], name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_secret_is_in_a_file_that_was_left_behind(observed):
    found = [(name, form) for name, content in observed.files() for form in FORMS if form in content]
    assert found == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_secret_is_on_a_command_line(observed):
    for name in ("run", "search"):
        lines = "\n".join(observed.command_lines[name])
        assert "raylet" in lines
        assert not [form for form in FORMS if form in lines.encode()], name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_that_listens_does_so_on_loopback(observed):
    for name in ("run", "search"):
        addresses = {(process, ipaddress.ip_address(ip)) for process, ip in observed.listening[name]}
        assert {"gcs_server", "raylet"} <= {process for process, _ in addresses}
        mapped = {(process, getattr(ip, "ipv4_mapped", None) or ip) for process, ip in addresses}
        assert [(process, ip) for process, ip in mapped if not ip.is_loopback] == []
