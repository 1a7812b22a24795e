"""Ray Tune around a watch: units go in as trials, and what Tune reports of them comes out as the watch's events."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.cluster.resources import Resources
from orchestrator.storage.remote import KEYS, driver_keys
from orchestrator.sweeping.watch import Source, SweepResult, Watch
from trainables import work
from trainables.data.splits import Splits
from trainables.runtime.failures import Failure, class_of_dead_process
from trainables.units import config_of, name_in, result_in

PROCESS_RETRIES = 2  # after a worker died; errors of the unit itself are not retried
STATE_SECONDS = 20.0


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
    bench = work.Bench(watch.store.patient(), shared, state_seconds, device, driver_keys())
    prepared = tune.with_resources(
        tune.with_parameters(trainable.UnitTrainable, bench=bench),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    # Nobody reads Tune's own files. They are pickles, kept where they cost an object store no requests.
    with tempfile.TemporaryDirectory(prefix="robust-sweep-", ignore_cleanup_errors=True) as aside:
        tuner = tune.Tuner(
            prepared,
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
                stop=lambda _, reported: watch.stops(name_in(reported["config"]), result_in(reported)),
                callbacks=[_callback(watch)],
                failure_config=tune.FailureConfig(max_failures=PROCESS_RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    watch.result.was_interrupted = not watch.source.exhausted or bool(watch.running)
    return watch.result


def _keep_keys_out_of_logs() -> None:
    """Keep Tune from putting AWS' keys into the workers' runtime environment, which each node logs."""
    with contextlib.suppress(ImportError, AttributeError):  # not a public part of Ray
        from ray.tune.execution import class_cache

        class_cache.ENV_VARS_TO_PROPAGATE.difference_update(KEYS)


def _searcher(source: Source) -> Any:
    """Return a searcher for Tune, which asks it for the next trial; it answers from the source."""
    from ray.tune.search import Searcher

    class UnitSearcher(Searcher):
        """Suggests the units of a source as trials."""

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # Tune pickles its searcher into a file that nobody reads

        def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
            unit = source.take()
            if unit is not None:
                return config_of(unit.name, unit.work)
            return Searcher.FINISHED if source.exhausted else None

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            pass  # the callback tells `Watch`, by the unit's name

        def save(self, checkpoint_path: str) -> None:
            pass

        def restore(self, checkpoint_path: str) -> None:
            pass

    return UnitSearcher()


def _callback(watch: Watch) -> Any:
    """Return a callback for Tune that passes events on to the watch; no exception may escape from it."""
    from ray import tune

    class Forward(tune.Callback):
        """Passes the start, results and death of a trial on to the watch."""

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.on_start(name_in(trial.config))

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
        ) -> None:
            watch.on_result(name_in(trial.config), result_in(result))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            watch.on_death(name_in(trial.config), _process_failure(trial))

    return Forward()


def _process_failure(trial: Any) -> Failure:
    """Return why a worker process died, and where its output is, from Tune's error file."""
    try:
        with open(trial.error_file) as file:
            text = file.read()
    except (OSError, TypeError):
        text = ""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "the worker process died")
    return Failure(kind=class_of_dead_process(text), error=last.strip(), traceback=text, log=_log_of_dead_process(text))


def _log_of_dead_process(text: str) -> str:
    """Return the address and the log of the last process that Ray names; "" if it names none, as for a lost node."""
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
