"""This process's connection to Ray: started here for one sweep, or that of a cluster."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from orchestrator.cluster import preflight
from orchestrator.cluster.packing import SHARES
from orchestrator.cluster.resources import Resources
from trainables.errors import InputError
from trainables.runtime.memory import total_memory

# Ray reads these when it is imported or started: no second set of logs, no snapshots of a state that nobody restores,
# no change of directory in workers, no usage statistics (default: off).
RAY_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
ASK_SECONDS = 120.0


@contextmanager
def connected(resources: Resources) -> Iterator[list[Mapping[str, float]]]:
    """Yield the resources of each living node; shut Ray down afterwards if it was started here."""
    os.environ.update({k: v for k, v in RAY_ENVIRONMENT.items() if k not in os.environ})
    is_local = not (resources.address or os.environ.get("RAY_ADDRESS"))
    imported = sys.modules.get("ray")
    ours = imported is None or not imported.is_initialized()
    if ours and is_local:
        _shut_others_out()
    import ray

    if ours:
        preflight.check_token_file()
        _check_reachable(resources.address)
        address = resources.address or os.environ.get("RAY_ADDRESS")
        # without an address Ray would join whatever cluster was started on this machine
        where = {"address": "local", "include_dashboard": False} if is_local else {"address": address}
        try:
            ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, ray.exceptions.AuthenticationError) as error:
            raise InputError(
                f"Ray at {resources.address!r} cannot be reached: {error} (if it has a token: set RAY_AUTH_MODE=token, "
                "and RAY_AUTH_TOKEN_PATH to a file with it)"
            ) from None
    try:
        yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
    finally:
        if ours:
            ray.shutdown()


def _shut_others_out() -> None:
    """Make a Ray of this process listen on loopback alone and ask for a token: anyone who can reach Ray can run code.

    Ray itself turns the first switch on Windows and macOS, and reads it when it is imported.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def packed(resources: Resources, *, ask: Callable[[], int] = total_memory) -> Resources:
    """Return resources whose share of a GPU is known; `ask` returns on a node how many bytes one of its GPUs has.

    Ray does not know it. We assume that the GPUs of one node are alike.
    """
    if resources.gpu_memory_per_trial is None:
        return resources
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    task = ray.remote(num_cpus=0, num_gpus=1 / SHARES, max_retries=0)(ask)
    asked = [task.options(scheduling_strategy=On(node, soft=False)).remote() for node in nodes]
    try:
        return resources.packed(ray.get(asked, timeout=ASK_SECONDS))
    except (ray.exceptions.RayError, TimeoutError) as error:
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
        raise InputError(
            f"the memory of the GPUs could not be asked for ({reason}): give a trial's share by --gpus-per-trial"
        ) from None


def _check_reachable(address: str | None) -> None:
    """Raise InputError at once for a head that does not answer; Ray itself would try for a quarter of an hour."""
    host, _, port = (address or "").rpartition(":")
    if not (host and port.isdigit()):
        return
    if (reason := preflight.refusal(host, int(port))) is not None:
        raise InputError(f"Ray at {address!r} cannot be reached: {reason}")
