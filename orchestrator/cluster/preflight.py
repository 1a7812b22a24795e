"""Checks before anything is queued: whether a trial can be placed, and whether it would run on other nodes.

On one machine they cost nothing. On a cluster a small task asks every node that has room for a trial whether it has
this package's code and sees the root as this machine does.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.cluster.resources import Resources
from orchestrator.storage.remote import driver_keys
from orchestrator.storage.store import Store
from trainables.errors import InputError
from trainables.runtime.provenance import code_hash

logger = logging.getLogger(__name__)
Nodes = Sequence[Mapping[str, float]]  # the resources of each: CPU, GPU and so on
Sight = Mapping[str, Any]  # a node's answer: node, and lacks, or code, sees, cannot_write
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # `ray up` leaves it on the head, for the autoscaler
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 120.0  # a node's first worker process may have to fetch and import the code
NAMED = 3


def check(resources: Resources, store: Store, nodes: Nodes) -> int:
    """Return how many trials run at once on the Ray that this process is connected to.

    Raise InputError if none ever could, on the living nodes or those that the autoscaler may start, or if a node has
    other code than this one or does not share the root.
    """
    slots = resources.slots(room(resources, nodes))
    if (reason := misfits(sights(resources, store), code_hash(), store.shown)) is not None:
        raise InputError(reason)
    return slots


def room(resources: Resources, nodes: Nodes) -> Nodes:
    """Return the nodes that trials will have: the living ones, or all that the cluster may grow to."""
    grown = growth(BOOTSTRAP.expanduser()) if resources.address is not None else []
    wider = max((nodes, grown), key=lambda those: sum(map(resources.fits, those)))
    return wider if any(map(resources.fits, wider)) else [*nodes, *grown]


def growth(config: Path) -> Nodes:
    """Return the resources of each worker that an autoscaler may start, from the file of `ray up`; none without one."""
    import yaml

    try:
        cluster = yaml.safe_load(config.read_text())
        most = cluster["max_workers"]
        types = cluster["available_node_types"].values()
        workers = [dict(kind["resources"]) for kind in types for _ in range(kind.get("max_workers", most))]
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return []
    return sorted(workers, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), reverse=True)[:most]


def sights(resources: Resources, store: Store) -> list[Sight]:
    """Ask every other node that has room for a trial what it sees; leave out nodes that die meanwhile."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    others = {n["NodeID"]: n for n in ray.nodes() if n["Alive"] and resources.fits(n["Resources"])}
    others.pop(here, None)
    if not others:
        return []
    probe = f"preflight-{uuid.uuid4().hex}"
    store.write_file(probe, b"")
    try:
        task = ray.remote(_look())
        asked = {
            task.options(
                num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
            ).remote(store.root, probe, node, driver_keys()): about["NodeManagerAddress"]
            for node, about in others.items()
        }
        answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=LOOK_SECONDS)
        for answer in silent:
            ray.cancel(answer, force=True)
            logger.warning("node %s has not answered within %g s", asked[answer], LOOK_SECONDS)
        return [sight for answer in answered if (sight := _answer(answer, asked[answer])) is not None]
    finally:
        store.delete_file(probe)


def _answer(reference: Any, node: str) -> Sight | None:
    """Return a node's answer; None if it gave none, such as a spot node that was taken away."""
    import ray
    from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

    try:
        return {"node": node, **ray.get(reference)}
    except (RayTaskError, RuntimeEnvSetupError) as error:
        return {"node": node, "lacks": str(error).strip().splitlines()[-1]}
    except RayError as error:
        logger.warning("node %s cannot be asked: %s", node, error)
        return None


def _look() -> Callable[[str, str, str, Mapping[str, str]], Sight]:
    """Return the function that runs on another node. It is sent by value, since that node may lack this module."""

    def look(root: str, probe: str, node: str, keys: Mapping[str, str]) -> dict[str, Any]:
        for name, value in keys.items():
            os.environ.setdefault(name, value)
        try:
            from orchestrator.storage.store import Store
            from trainables.runtime.provenance import code_hash
        except ImportError as error:
            return {"lacks": str(error)}
        store, cannot_write = Store(root), ""
        try:
            sees = store.read_file(probe) is not None
            if sees:
                store.write_file(f"{probe}-{node}", b"")
                store.delete_file(f"{probe}-{node}")
        except (OSError, ValueError) as error:
            sees, cannot_write = True, str(error)
        return {"code": code_hash(), "sees": sees, "cannot_write": cannot_write}

    return look


def misfits(sights: Iterable[Sight], code: str, root: str) -> str | None:
    """Return what is wrong with the nodes, from their answers and this machine's code hash; None if nothing is."""
    lacking = {s["node"]: s["lacks"] for s in sights if "lacks" in s}
    if lacking:
        return (
            f"every node must have this package: {_names(lacking)} cannot import it ({next(iter(lacking.values()))}); "
            "install it there, or send it along with `robust-sweep submit`"
        )
    if other := {s["node"]: s["code"] for s in sights if s["code"] != code}:
        return (
            f"every node must have the same version of this package: here its code is {code}, on {_names(other)} "
            f"{next(iter(other.values()))}; install the same there, or send it along with `robust-sweep submit`"
        )
    if blind := [s["node"] for s in sights if not s["sees"]]:
        return (
            f"the root must be one that every node sees: a file that this machine writes to {root!r} does not exist on "
            f"{_names(blind)}; use s3://bucket/prefix or a folder that all of them mount"
        )
    if barred := {s["node"]: s["cannot_write"] for s in sights if s["cannot_write"]}:
        return f"every node must write to the root {root!r}: {_names(barred)} cannot ({next(iter(barred.values()))})"
    return None


def _names(nodes: Iterable[str]) -> str:
    names = list(nodes)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def refusal(host: str | None, port: int, *, seconds: float = CONNECT_SECONDS) -> str | None:
    """Return why nothing answers at a port; None if something does."""
    try:
        socket.create_connection((host, port), seconds).close()
    except OSError as error:
        return str(error)
    return None


def tracking_refusal(uri: str) -> str | None:
    """Return why a tracking server does not answer; None if it does, or if it is a file."""
    parts = urlsplit(uri)
    port = PORTS.get(parts.scheme.partition("+")[0])
    return refusal(parts.hostname, parts.port or port) if parts.hostname and port else None


def check_token_file() -> None:
    """Raise InputError if the token file is missing; Ray would kill the process."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    is_asked = os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and not os.environ.get("RAY_AUTH_TOKEN")
    if is_asked and path and not Path(path).is_file():
        raise InputError(f"RAY_AUTH_TOKEN_PATH must be a file with the cluster's token, got {path!r}")
