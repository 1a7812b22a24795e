"""A sweep on a Ray cluster of several nodes, all on this machine, that lose nodes and get new ones."""

import os
import time

import pytest
from killing import Snapshot, assert_same, drive, run_here, write_study

from orchestrator.cluster.connection import RAY_ENVIRONMENT
from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store

# A node that says nothing for so long is dead; Ray's own values add up to half a minute.
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
WITHOUT_NODES_SECONDS = 5.0


@pytest.fixture
def cluster():
    """A head without CPUs, where the driver runs, and two nodes of one CPU."""
    os.environ.update(RAY_ENVIRONMENT)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_outlives_a_node_then_all_nodes_and_goes_on_where_it_was(cluster, tmp_path):
    study, store = write_study(tmp_path, epochs=12, steps=20), Store(tmp_path / "root")
    plan = expand(find_study(study, store))
    nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
    with drive(study, store.root, tmp_path / "log", address=cluster.address) as driver:
        assert driver.until(lambda: len(Snapshot.of(store).epochs) == 2), driver.text
        before = [Snapshot.of(store)]
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        assert driver.until(lambda: store.fingerprints("checkpoints")), driver.text
        before.append(Snapshot.of(store))
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        time.sleep(WITHOUT_NODES_SECONDS)
        before.append(Snapshot.of(store))
        time.sleep(1.0)
        assert Snapshot.of(store) == before[-1]  # nothing runs
        cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1)
        assert driver.process.wait(600) == 0, driver.text
    for snapshot in before:
        snapshot.assert_kept(store)
    assert_same(plan, store, run_here(plan, Store(tmp_path / "reference")))
