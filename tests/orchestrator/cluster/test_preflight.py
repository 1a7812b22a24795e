"""What stops a sweep before it starts. The nodes are real Ray nodes; that they differ is theirs, by a folder that is
each process's own (/proc/self/cwd) and by the code that their PYTHONPATH leads to."""

import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import yaml

from orchestrator.cluster import connection, preflight
from orchestrator.cluster.resources import Resources
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep
from orchestrator.sweeping.remainder import remainder
from search_spaces.study import Study
from trainables.errors import InputError
from trainables.runtime.provenance import code_hash

ROOT = Path(__file__).resolve().parents[3]
HEAD, GPU_NODE = {"CPU": 0.0}, {"CPU": 4, "GPU": 1}
QUARTER = Resources("auto", 1.0, 0.25)
STUDY = Study(
    name="nodes",
    title="Nodes",
    base={"dataset": "digits", "network.width": 4, "epochs": 1},
    space=({"defense": ("none",)},),
    seeds=(0, 1, 2, 3),
    examples=16,
)


@pytest.fixture
def bootstrapped(tmp_path, monkeypatch):
    """Leave a file as `ray up` does, of the repository's cluster.yaml unless it is given."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(**changes):
        cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text()) | changes
        preflight.BOOTSTRAP.expanduser().write_text(yaml.safe_dump(cluster))

    return write


def test_a_cluster_has_room_on_nodes_that_its_autoscaler_may_start(bootstrapped):
    bootstrapped()
    assert QUARTER.slots(preflight.room(QUARTER, [HEAD])) == 8 * 4
    bootstrapped(max_workers=2)
    assert QUARTER.slots(preflight.room(QUARTER, [HEAD, GPU_NODE])) == 2 * 4


def test_nodes_that_are_there_count_if_they_are_more_than_an_autoscaler_knows_of(bootstrapped):
    bootstrapped(max_workers=1)
    assert QUARTER.slots(preflight.room(QUARTER, [HEAD, GPU_NODE, GPU_NODE])) == 8


def test_a_trial_that_no_node_could_ever_hold_is_refused_with_what_the_largest_has(bootstrapped):
    wide = Resources("auto", 8.0, 1.0)
    bootstrapped()
    with pytest.raises(InputError, match="the largest node has 4 CPU and 1 GPU"):
        wide.slots(preflight.room(wide, [HEAD]))
    preflight.BOOTSTRAP.expanduser().unlink()
    with pytest.raises(InputError, match="the largest node has 0 CPU and 0 GPU"):
        wide.slots(preflight.room(wide, [HEAD]))


def test_an_autoscalers_file_is_nothing_to_a_ray_of_this_process(bootstrapped):
    bootstrapped()
    alone = Resources(None, 1.0, 0.25)
    with pytest.raises(InputError, match="the largest node has 2 CPU and 0 GPU"):
        alone.slots(preflight.room(alone, [{"CPU": 2}]))


@pytest.mark.parametrize("text", ["", "[]", "max_workers: 2", "{", "max_workers: 2\navailable_node_types: {a: 3}"])
def test_a_file_that_is_no_autoscalers_says_nothing(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    assert preflight.growth(tmp_path / "config.yaml") == []
    assert preflight.growth(tmp_path / "none.yaml") == []


FINE = {"node": "10.0.0.2", "code": "aaa", "sees": True, "cannot_write": ""}


@pytest.mark.parametrize(
    ("sights", "message"),
    [
        pytest.param([], None, id="nobody else"),
        pytest.param([FINE, FINE], None, id="all well"),
        pytest.param(
            [FINE, {"node": "10.0.0.3", "lacks": "No module named 'torch'"}],
            "10.0.0.3 cannot import it (No module named 'torch'); install it there, or send it along",
            id="not installed",
        ),
        pytest.param(
            [FINE | {"code": "bbb"}], "here its code is aaa, on 10.0.0.2 bbb; install the same", id="another version"
        ),
        pytest.param(
            [FINE | {"sees": False}],
            "writes to '/results' does not exist on 10.0.0.2; use s3://bucket/prefix or a folder",
            id="not shared",
        ),
        pytest.param(
            [FINE | {"cannot_write": "Read-only file system"}],
            "every node must write to the root '/results': 10.0.0.2 cannot (Read-only file system)",
            id="read-only",
        ),
        pytest.param(
            [FINE | {"node": f"10.0.0.{i}", "sees": False} for i in range(9)],
            "does not exist on 10.0.0.0, 10.0.0.1, 10.0.0.2 and 6 more; use",
            id="many",
        ),
    ],
)
def test_what_nodes_say_comes_to_one_message(sights, message):
    found = preflight.misfits(sights, "aaa", "/results")
    assert message in found if message else found is None


def test_on_one_machine_nothing_is_asked_of_anybody(ray_session, store):
    start = time.monotonic()
    assert preflight.check(Resources(), store, [{"CPU": 2}]) == 2
    assert time.monotonic() - start < 0.5
    assert not Path(store.root).exists()


def test_a_tracking_server_that_listens_is_told_from_one_that_does_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert preflight.tracking_refusal(f"http://127.0.0.1:{port}") is None
        assert preflight.tracking_refusal(f"postgresql+psycopg://me:secret@127.0.0.1:{port}/mlflow") is None
    assert "refused" in preflight.tracking_refusal(f"http://127.0.0.1:{port}")
    assert preflight.tracking_refusal("sqlite:////nowhere/mlflow.db") is None
    assert preflight.tracking_refusal("databricks") is None


def test_a_token_file_that_is_not_there_is_said_before_ray_dies_of_it(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(InputError, match="RAY_AUTH_TOKEN_PATH must be a file with the cluster's token, got '/"):
        preflight.check_token_file()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    preflight.check_token_file()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    (tmp_path / "token").write_text("abc")
    preflight.check_token_file()


@pytest.mark.slow
def test_a_token_that_is_asked_for_and_not_there_is_a_message(tmp_path):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY")}
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "run", "quickstart", "--address", address, "--root", tmp_path],
            env=plain | {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 2, done.stderr
    assert "cannot be reached: Token authentication is enabled but no authentication token was found" in done.stderr
    assert "Traceback" not in done.stderr


class TwoNodes:
    """A Ray of a head without CPUs and a node of two, in a process that may have no other Ray.

    The nodes were started in one folder, and what is called here works in another.
    """

    def __init__(self, yours, mine):
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.call(_start, yours, mine)

    def call(self, function, *arguments):
        return self._process.submit(function, *arguments).result()

    def stop(self):
        self.call(_stop)
        self._process.shutdown()


clusters = []  # of that process


def _start(yours, mine):
    os.environ.update(connection.RAY_ENVIRONMENT, RAY_AUTH_MODE="disabled", PYTHONPATH=str(ROOT))
    from ray.cluster_utils import Cluster

    os.chdir(yours)
    clusters.append(Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}))
    clusters[0].add_node(num_cpus=2)
    os.chdir(mine)


def _stop():
    clusters.pop().shutdown()


def _run(root):
    """Run the study on the two nodes."""
    store, plan = Store(root), expand(STUDY)
    datasets = sweep.load_datasets(plan, remainder(plan, store))
    sweep.run_plan(plan, store, datasets, resources=Resources(clusters[0].address))


def _check(root, python_path):
    """Check the two nodes and, unless it is None, a third with a PYTHONPATH of its own."""
    resources = Resources(clusters[0].address)
    third = python_path and clusters[0].add_node(num_cpus=1, env_vars={"PYTHONPATH": str(python_path)})
    try:
        with connection.connected(resources) as nodes:
            return preflight.check(resources, Store(root), nodes)
    finally:
        if third:
            clusters[0].remove_node(third)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    nodes = TwoNodes(tmp_path_factory.mktemp("yours"), tmp_path_factory.mktemp("mine"))
    yield nodes
    nodes.stop()


@pytest.mark.slow
def test_a_sweep_runs_on_another_node_that_shares_the_root(two_nodes, tmp_path):
    two_nodes.call(_run, tmp_path)
    assert remainder(expand(STUDY), Store(tmp_path)).is_empty
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("preflight")]


@pytest.mark.slow
def test_a_root_that_is_another_folder_on_another_node_stops_a_sweep_before_it_starts(two_nodes):
    with pytest.raises(InputError, match=re.escape("writes to '/proc/self/cwd/results' does not exist on ")):
        two_nodes.call(_run, "/proc/self/cwd/results")
    folder = Path(two_nodes.call(os.getcwd), "results")
    assert not [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.slow
def test_a_node_of_other_code_or_without_the_package_is_refused(two_nodes, tmp_path):
    other, none, root = tmp_path / "other", tmp_path / "none", tmp_path / "root"
    for package in ("orchestrator", "trainables", "search_spaces"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
        (none / package).mkdir(parents=True)
        (none / package / "__init__.py").write_text("raise ImportError('No module of ours')")
    with (other / "trainables" / "errors.py").open("a") as file:
        file.write("# another version\n")
    with pytest.raises(InputError, match=f"here its code is {code_hash()}, on "):
        two_nodes.call(_check, root, other)
    with pytest.raises(InputError, match=r"cannot import it \(No module of ours\)"):
        two_nodes.call(_check, root, none)
    assert two_nodes.call(_check, root, None) == 2
