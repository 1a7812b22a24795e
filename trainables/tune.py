"""The Ray Tune trainable: a unit of work, which is one training or the evaluations of one model.

Both kinds share one Trainable class, so that Tune hands a warm process from any unit to any other (starting a
process and importing torch costs seconds, reusing one a third of a second) and evaluations need not wait for the
last training. We use the class API and not the function API because the driver then schedules each step: it can
stop or pause a trial between epochs.

Workers write checkpoints and records to the store; the driver receives only the numbers that it shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainables.runtime.failures import failure_of
from trainables.runtime.memory import peak_memory
from trainables.units import StepResult, as_dict, work_in
from trainables.work import Bench, perform


class UnitTrainable(tune.Trainable):
    """A unit as Tune runs it: `step` is one epoch of a training, or one evaluation."""

    def setup(self, config: dict[str, Any], bench: Bench | None = None) -> None:
        assert bench is not None
        self._bench = replace(bench, fetch=ray.get)  # once a process: its caches last from unit to unit
        os.environ.update(bench.environment)
        torch.backends.cudnn.allow_tf32 = False  # as on the CPU; the distances in defenses/rbf_mapping cancel
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._steps: Iterator[StepResult] = iter(())  # drop the last unit before the next one takes memory
        self._steps = _steps(new_config, self._bench)
        return True

    def step(self) -> dict[str, Any]:
        """Do the next step. An error of the unit's own ends it as failed and leaves the process to others.

        Errors that a new process or a later attempt may mend (of the GPU, of the store) are raised, so that Tune tries
        again.
        """
        try:
            return as_dict(replace(next(self._steps), gpu_peak_mib=peak_memory(self._bench.device)))
        except (torch.OutOfMemoryError, torch.AcceleratorError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  (whatever a unit raises must not end the sweep)
            return as_dict(StepResult(is_done=True, failure=failure_of(error, log=_log_file())))

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: the store keeps the states, and a unit that is started again goes on from there."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""


def _steps(config: dict[str, Any], bench: Bench) -> Iterator[StepResult]:
    """Read a unit's work when its first step is asked for, so that a bad spec fails the unit and not the process."""
    yield from perform(work_in(config), bench)


def _log_file() -> str:
    """Return the node and the path of this worker's own output."""
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    found = next(logs.glob(f"worker-{context.get_worker_id()}-*.err"), logs)
    return f"{ray.util.get_node_ip_address()}:{found}"
