"""Plan -> Ray Tune: runs what the store lacks, both phases in one experiment, and tells listeners what happens.

The store is the ledger: a sweep starts a fresh Tune experiment with the work that is left, so running again is
resuming, and Tune's own experiment state is thrown away.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.plan import Plan, Remainder, remainder
from orchestrator.resources import Resources
from orchestrator.schedule import Schedule
from orchestrator.store import Store
from orchestrator.watch import Listener, SweepResult, Watch
from trainables.data import Splits, load
from trainables.errors import InputError

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
THIS_MACHINE = Resources()


def run(
    plan: Plan,
    store: Store,
    datasets: Mapping[str, Splits],
    *,
    resources: Resources = THIS_MACHINE,
    listeners: Sequence[Listener] = (),
    state_seconds: float = STATE_SECONDS,
) -> SweepResult:
    """Run what the store lacks of a plan, on `datasets` as `load_datasets` gives them.

    `state_seconds`: how often an unfinished training is saved, to be resumed. Raise InputError for resources that
    the cluster has not, before any trial starts.
    """
    resources.check()
    rest = remainder(plan, store)
    if rest.is_empty:
        return SweepResult()
    for fingerprint in rest.fingerprints & store.fingerprints("failures"):
        store.delete("failures", fingerprint)
    with _ray(resources) as cluster:
        return _fit(plan, rest, store, datasets, resources, cluster, listeners, state_seconds)


def load_datasets(plan: Plan, rest: Remainder, *, folder: str = "", download: bool = False) -> dict[str, Splits]:
    """Decode each dataset that the remainder needs, once; raise InputError if one is not there or corrupt."""
    models = {spec.fingerprint for spec in rest.trainings}
    models |= {f for e in rest.evaluations for f in (e.model, e.crafted_on)}
    specs = {spec.key: spec for spec in (plan.trainings[model].dataset for model in models)}
    return {key: load(spec, folder=folder, download=download) for key, spec in specs.items()}


@contextmanager
def _ray(resources: Resources) -> Iterator[Mapping[str, float]]:
    """Yield the cluster's resources; shut Ray down afterwards if it was started here."""
    os.environ.update({k: v for k, v in RAY_ENVIRONMENT.items() if k not in os.environ})
    import ray

    ours = not ray.is_initialized()
    if ours:
        local = {} if resources.address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
        try:
            ray.init(address=resources.address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"Ray at {resources.address!r} cannot be reached: {error}") from None
    try:
        yield ray.cluster_resources()
    finally:
        if ours:
            ray.shutdown()


def _fit(
    plan: Plan,
    rest: Remainder,
    store: Store,
    datasets: Mapping[str, Splits],
    resources: Resources,
    cluster: Mapping[str, float],
    listeners: Sequence[Listener],
    state_seconds: float,
) -> SweepResult:
    import ray
    from ray import tune

    from trainables import tune as trainable

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    slots = resources.slots(cluster)
    schedule = Schedule(rest, slots=slots)
    watch = Watch(schedule, store, listeners)
    watch.tell("begin", plan, rest, list(schedule.units.values()), slots)
    shared = {key: ray.put(splits) for key, splits in datasets.items()}
    device = "cuda" if resources.gpus_per_trial else "cpu"
    bench = trainable.Bench(store, shared, state_seconds, device)
    unit = tune.with_resources(
        tune.with_parameters(trainable.Unit, bench=bench),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    name = f"sweep-{uuid.uuid4().hex[:8]}"
    tuner = tune.Tuner(
        unit,
        tune_config=tune.TuneConfig(
            search_alg=_searcher(schedule),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=f"{store.root}/tune",
            verbose=0,
            callbacks=[_callback(watch)],
            failure_config=tune.FailureConfig(max_failures=PROCESS_RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    finally:
        if store.is_local:
            shutil.rmtree(f"{store.root}/tune/{name}", ignore_errors=True)
    return watch.result


def _searcher(schedule: Schedule) -> Any:
    """Tune asks a searcher for the next trial; ours answers from the schedule."""
    from ray.tune.search import Searcher

    class PlanSearcher(Searcher):
        def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
            unit = schedule.take()
            if unit is not None:
                return unit.config()
            return Searcher.FINISHED if schedule.exhausted else None

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            pass  # `Watch` hears of it as a callback, with the unit's name

        def save(self, checkpoint_path: str) -> None:
            pass

        def restore(self, checkpoint_path: str) -> None:
            pass

    return PlanSearcher()


def _callback(watch: Watch) -> Any:
    """Tune's callback; nothing may escape from it."""
    from ray import tune

    class Forward(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.tell("started", watch.schedule.units[trial.config["unit"]])

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
        ) -> None:
            watch.on_result(trial.config, result)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.on_failure(trial.config, _process_failure(trial))

    return Forward()


def _process_failure(trial: Any) -> dict[str, str]:
    """Say why a worker process died, from what Tune wrote of it."""
    try:
        with open(trial.error_file) as file:
            text = file.read()
    except (OSError, TypeError):
        text = ""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "the worker process died")
    return {"error": last.strip(), "traceback": text}
