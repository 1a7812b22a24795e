"""The Ray Tune trainable: a unit of work, which is one training or the evaluations of one model.

Both kinds share one Trainable class, so that Tune hands a warm process from any unit to any other (starting a
process and importing torch costs seconds, a reused one a third of a second) and evaluations need not wait for the
last training. The class API is chosen over the function API because a step is then the driver's to schedule: it can
stop or pause a trial between epochs.

Workers write checkpoints and records to the store; the driver is only told the numbers it shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainables.runtime.failures import describe
from trainables.runtime.memory import let_go, peak_memory
from trainables.work import WORK, Bench, Result


class Unit(tune.Trainable):
    """Tune's view of a unit: `step` is one epoch of a training, or one evaluation."""

    def setup(self, config: dict[str, Any], bench: Bench | None = None) -> None:
        assert bench is not None
        self._bench = bench
        os.environ.update(bench.environment)
        bench.fetch = ray.get
        torch.backends.cudnn.allow_tf32 = False  # as on the CPU; rbf_mapping's distances cancel (sheet 1)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._steps: Iterator[Result] = iter(())  # let go of the last unit before the next one takes memory
        if new_config["kind"] == "train":
            self._bench.forget()
        let_go(self._bench.device)
        self._steps = WORK[new_config["kind"]](new_config, self._bench)
        return True

    def step(self) -> Result:
        """Do the next step. An error of the unit's own ends it as failed and leaves the process for others.

        What a new process or another moment may mend (the GPU, the store) is raised, so that Tune tries again.
        """
        try:
            return next(self._steps) | peak_memory(self._bench.device)
        except (torch.OutOfMemoryError, torch.AcceleratorError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  (whatever a unit raises must not end the sweep)
            return {"done": True, "failure": describe(error, log=_log_file())}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: states are the store's, and a unit goes on from there wherever it is started again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""


def _log_file() -> str:
    """Say where this worker's own output lies, on its node."""
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    found = next(logs.glob(f"worker-{context.get_worker_id()}-*.err"), logs)
    return f"{ray.util.get_node_ip_address()}:{found}"
