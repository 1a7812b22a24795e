"""Units in this process, one after the other and without Ray, so that a debugger stops where a unit's code says."""

from __future__ import annotations

import contextlib
import os
import time
from bdb import BdbQuit
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from orchestrator.cluster.resources import Resources
from orchestrator.sweeping.units import Unit
from orchestrator.sweeping.watch import Source, SweepResult, Watch
from trainables.data.splits import Splits
from trainables.errors import InputError
from trainables.runtime.failures import failure_of
from trainables.runtime.memory import peak_memory
from trainables.work import Bench, perform

LOOK_AGAIN_SECONDS = 0.1  # for a unit that is ready, while other drivers have all of them under way


def check_debug(resources: Resources) -> int:
    """Return how many units run at once, which is one; raise InputError for resources that this process cannot give."""
    if resources.address is not None:
        raise InputError(
            f"--debug runs every trial in this process, got --address {resources.address}; leave one of them out"
        )
    if _device_type(resources) == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--debug with --gpus-per-trial or --gpu-memory-per-trial needs a GPU that PyTorch sees, and it sees none; "
            "leave them out to run on the CPU"
        )
    return 1


def fit(
    watch: Watch, datasets: Mapping[str, Splits], resources: Resources, *, slots: int, state_seconds: float
) -> SweepResult:
    """Run the units of the watch's source one after the other; arguments are as of `tuner.fit`.

    Whatever a unit raises is its failure, and is not tried again. Ctrl-C and a debugger's `quit` end the sweep.
    """
    assert slots == 1
    bench = Bench(watch.store.patient(), datasets, state_seconds, _device_type(resources))
    with _set_like_a_worker(resources), contextlib.suppress(KeyboardInterrupt):
        try:
            for unit in _units(watch.source):
                _run(unit, watch, bench)
        except BdbQuit:
            watch.result.quit_debugger = True
    watch.result.was_interrupted = not watch.source.exhausted or bool(watch.running)
    return watch.result


def _units(source: Source) -> Iterator[Unit]:
    while not source.exhausted:
        unit = source.take()
        if unit is not None:
            yield unit
        elif not source.exhausted:
            time.sleep(LOOK_AGAIN_SECONDS)


def _run(unit: Unit, watch: Watch, bench: Bench) -> None:
    watch.on_start(unit.name)
    try:
        for result in perform(unit.work, bench):
            measured = replace(result, gpu_peak_mib=peak_memory(bench.device))
            is_given_up = watch.stops(unit.name, measured)
            watch.on_result(unit.name, measured)
            if is_given_up:
                return
    except BdbQuit:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a unit raises must not end the sweep)
        watch.on_failure(unit.name, failure_of(error))


def _device_type(resources: Resources) -> str:
    return "cuda" if resources.gpus_per_trial or resources.gpu_memory_per_trial else "cpu"


@contextlib.contextmanager
def _set_like_a_worker(resources: Resources) -> Iterator[None]:
    """Give torch the threads and the precision that it has in Ray's workers, so that the records are the same."""
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    if "OMP_NUM_THREADS" not in os.environ:  # Ray sets it for its workers where the user has not
        torch.set_num_threads(max(1, int(resources.cpus_per_trial)))
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32
