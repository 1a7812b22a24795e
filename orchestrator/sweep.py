"""Plan -> Ray Tune: runs what the store lacks, both phases in one experiment, and tells listeners what happens.

The store is the ledger: a sweep starts a fresh Tune experiment with the work that is left, so running again is
resuming, and Tune's own experiment state is thrown away.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from orchestrator import preflight
from orchestrator.claims import Claims
from orchestrator.litter import clear_litter
from orchestrator.packing import SHARES
from orchestrator.plan import Plan, Remainder, remainder
from orchestrator.remote import KEYS, driver_keys
from orchestrator.resources import Resources
from orchestrator.schedule import Schedule
from orchestrator.store import Store
from orchestrator.watch import Listener, Source, SweepResult, Watch, tell
from trainables.data import Splits, load
from trainables.errors import InputError
from trainables.failures import class_of_dead_process
from trainables.memory import total_memory
from trainables.randomness import seeded
from trainables.specs import TrainingSpec
from trainables.training import build

# Read by Ray when it is imported or started: no second set of logs, no snapshots of a state nobody restores,
# no change of directory in workers, no phoning home unless the user wants it.
RAY_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
PROCESS_RETRIES = 2  # after a worker died; errors of the unit itself are not retried
STATE_SECONDS = 20.0
ASK_SECONDS = 120.0
THIS_MACHINE = Resources()


def run(
    plan: Plan,
    store: Store,
    datasets: Mapping[str, Splits],
    *,
    resources: Resources = THIS_MACHINE,
    listeners: Sequence[Listener] = (),
    state_seconds: float = STATE_SECONDS,
    rest: Remainder | None = None,
) -> SweepResult:
    """Run `rest`, unless given all that the store lacks of a plan, on `datasets` as `load_datasets` gives them.

    `state_seconds`: how often an unfinished training is saved, to be resumed. Raise InputError for what
    `preflight.check` finds, before any trial starts.
    """
    resources.check()
    rest = rest or remainder(plan, store)
    if rest.is_empty:
        return SweepResult()
    with Claims(store) as claims, connected(resources) as nodes:
        resources = packed(resources)
        clear_litter(store)
        slots = preflight.check(resources, store, nodes)
        for fingerprint in rest.fingerprints & store.fingerprints("failures"):
            store.delete("failures", fingerprint)
        elsewhere = partial(tell, listeners, "done_elsewhere")
        schedule = Schedule(rest, slots=slots, peers=claims, on_done_elsewhere=elsewhere)
        tell(listeners, "begin", plan, rest, list(schedule.units.values()), slots)
        watch = Watch(schedule, store, listeners)
        return fit(watch, datasets, resources, slots=slots, state_seconds=state_seconds)


def load_datasets(plan: Plan, rest: Remainder, *, folder: str = "", download: bool = False) -> dict[str, Splits]:
    """Decode each dataset that the remainder needs, once; raise InputError if one is not there or corrupt."""
    models = {spec.fingerprint for spec in rest.trainings}
    models |= {f for e in rest.evaluations for f in (e.model, e.crafted_on)}
    specs = {spec.key: spec for spec in (plan.trainings[model].dataset for model in models)}
    return {key: load(spec, folder=folder, download=download) for key, spec in specs.items()}


def check_builds(plan: Plan, rest: Remainder, datasets: Mapping[str, Splits]) -> None:
    """Build each kind of model that is to be trained once; raise InputError for one that its data do not fit."""
    kinds: dict[str, TrainingSpec] = {}
    for spec in rest.trainings:
        kinds.setdefault(spec.model_dump_json(exclude={"seed", "optimisation", "epochs"}), spec)
    for spec in kinds.values():
        with seeded(spec.seed, torch.device("cpu")):
            build(spec, datasets[spec.dataset.key])


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
    """Let a Ray of this process listen on loopback alone, to those who know its token: who reaches Ray runs code.

    The first name is a switch of Ray's that it turns by itself on Windows and macOS; it reads it when it is imported.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def packed(resources: Resources, *, ask: Callable[[], int] = total_memory) -> Resources:
    """Return resources whose share of a GPU is known; `ask` says on a node how many bytes one of its GPUs has.

    Ray does not say it. GPUs of one node are taken to be alike.
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


def fit(
    watch: Watch,
    datasets: Mapping[str, Splits],
    resources: Resources,
    *,
    slots: int,
    state_seconds: float = STATE_SECONDS,
) -> SweepResult:
    """Run the units of the watch's source, `slots` at a time, in one experiment of a Ray that is there."""
    import ray
    from ray import tune

    from trainables import tune as trainable

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    shared = {key: ray.put(splits) for key, splits in datasets.items()}
    device = "cuda" if resources.gpus_per_trial else "cpu"
    _keep_keys_out_of_logs()
    bench = trainable.Bench(watch.store.patient(), shared, state_seconds, device, driver_keys())
    unit = tune.with_resources(
        tune.with_parameters(trainable.Unit, bench=bench),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    # Tune's own files, which nobody reads, are pickles, and lie where they cost an object store no requests.
    with tempfile.TemporaryDirectory(prefix="robust-sweep-", ignore_cleanup_errors=True) as aside:
        tuner = tune.Tuner(
            unit,
            tune_config=tune.TuneConfig(
                search_alg=_searcher(watch.source),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                storage_path=aside,
                verbose=0,
                stop=lambda _, result: watch.stops(result["config"], result),
                callbacks=[_callback(watch)],
                failure_config=tune.FailureConfig(max_failures=PROCESS_RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    watch.result.was_interrupted = not watch.source.exhausted or bool(watch.running)
    return watch.result


def _keep_keys_out_of_logs() -> None:
    """Keep Tune from giving AWS' keys to workers as a runtime environment, which each node writes into its logs."""
    with contextlib.suppress(ImportError, AttributeError):  # it is no public part of Ray
        from ray.tune.execution import class_cache

        class_cache.ENV_VARS_TO_PROPAGATE.difference_update(KEYS)


def _searcher(source: Source) -> Any:
    """Tune asks a searcher for the next trial; ours answers from the source."""
    from ray.tune.search import Searcher

    class UnitSearcher(Searcher):
        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # Tune pickles its searcher into a file that nobody reads

        def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
            unit = source.take()
            if unit is not None:
                return unit.config()
            return Searcher.FINISHED if source.exhausted else None

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            pass  # `Watch` hears of it as a callback, with the unit's name

        def save(self, checkpoint_path: str) -> None:
            pass

        def restore(self, checkpoint_path: str) -> None:
            pass

    return UnitSearcher()


def _callback(watch: Watch) -> Any:
    """Tune's callback; nothing may escape from it."""
    from ray import tune

    class Forward(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.on_start(trial.config)

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
        ) -> None:
            watch.on_result(trial.config, result)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.on_death(trial.config, _process_failure(trial))

    return Forward()


def _process_failure(trial: Any) -> dict[str, str]:
    """Say why a worker process died, and where its output lies, from what Tune wrote of it."""
    try:
        with open(trial.error_file) as file:
            text = file.read()
    except (OSError, TypeError):
        text = ""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "the worker process died")
    return {
        "class": class_of_dead_process(text),
        "error": last.strip(),
        "traceback": text,
        "log": _log_of_dead_process(text),
    }


def _log_of_dead_process(text: str) -> str:
    """Return the address and the log of the last process that Ray names; "" if it names none, as of a lost node."""
    import ray

    named = re.findall(r"^\s*pid: (\d+)$.*?^\s*ip: (\S+)$", text, re.DOTALL | re.MULTILINE)
    if not named:
        return ""
    pid, address = named[-1]
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    pattern = f"worker-*-{pid}.err"
    is_here = address == ray.util.get_node_ip_address()
    return f"{address}:{next(logs.glob(pattern), logs / pattern) if is_here else logs / pattern}"
