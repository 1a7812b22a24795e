"""A training that can stop after any epoch and go on.

A TrainingRun is one TrainingSpec being trained. Its state (weights, optimiser, schedule, RNGs, history) can be
taken after any epoch; going on from it gives, on the CPU, bit for bit the weights of a run that was never
interrupted.
"""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import torch
from torch import Tensor

from trainables.data.splits import Images, Splits
from trainables.defenses import DEFENSES, Defense
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.judges import JUDGES
from trainables.metrics import EPOCH, PREPARE_SECONDS, SECONDS, validation
from trainables.runtime.failures import DivergedError
from trainables.runtime.randomness import current, resumed, seeded
from trainables.specs import TrainingSpec


class TrainingRun:
    """One TrainingSpec being trained on `splits`; `step()` is one epoch.

    The score on the validation split is measured after every epoch; the test split is never looked at. An epoch's
    `seconds` are those of its training alone; the first one's `prepare_seconds` are those of the preparation before.
    """

    def __init__(self, spec: TrainingSpec, splits: Splits, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.history: list[dict[str, float]] = []
        self._device = torch.device(device)
        self._train = on_device(splits.train, self._device)
        self._judge = JUDGES[splits.judge]
        self._validation = on_device(splits.validation, self._device)
        self._watched = validation(self._judge.metric)
        self._order = torch.Generator().manual_seed(spec.seed)
        with seeded(spec.seed, self._device):
            self.defense = build(spec, splits, self._device)
            start = time.perf_counter()
            self.defense.prepare(Batches(*self._train, spec.optimisation, torch.Generator().manual_seed(spec.seed)))
            self._prepare_seconds = time.perf_counter() - start
            self._rng = current(self._device)

    @property
    def finished(self) -> bool:
        return len(self.history) >= self.spec.epochs or self._out_of_patience()

    def step(self) -> dict[str, float]:
        """Train one epoch; return its metrics. Raise DivergedError if the loss is not finite."""
        start = time.perf_counter()
        self.defense.model.train()
        with resumed(self._rng, self._device):
            metrics = self.defense.train_epoch(Batches(*self._train, self.spec.optimisation, self._order))
            self._rng = current(self._device)
        seconds = time.perf_counter() - start
        epoch = len(self.history) + 1
        if not all(math.isfinite(value) for value in metrics.values()):
            last = self.history[-1] if self.history else {}
            raise DivergedError(metrics, epoch=epoch, last=last)
        found = evaluate_clean(self.defense.model, *self._validation, self._judge)
        metrics |= {
            self._watched: found.mean_score,
            SECONDS: seconds,
            EPOCH: epoch,
        }
        if epoch == 1:
            metrics[PREPARE_SECONDS] = self._prepare_seconds
        self.history.append(metrics)
        return metrics

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on."""
        return {
            "defense": self.defense.state_dict(),
            "history": self.history,
            "order": self._order.get_state(),
            "rng": self._rng,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.defense.load_state_dict(state["defense"])
        self.history = list(state["history"])
        self._order.set_state(state["order"])
        self._rng = state["rng"]

    def _out_of_patience(self) -> bool:
        patience = self.spec.optimisation.patience
        if patience is None or not self.history:
            return False
        scores = [metrics[self._watched] for metrics in self.history]
        return len(scores) - 1 - scores.index(max(scores)) >= patience


def build(spec: TrainingSpec, splits: Splits, device: torch.device | str = "cpu") -> Defense:
    """Build a spec's defense, untrained, for the shape of the images of `splits` and its number of outputs."""
    task = Task(splits.shape, splits.outputs, spec.network, spec.optimisation, spec.epochs, torch.device(device))
    return DEFENSES[spec.defense.name](spec.defense, task)


def on_device(images: Images, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return uint8 pixels [N, C, H, W] and labels [N] on the device; on the CPU they share the memory."""
    with warnings.catch_warnings():  # arrays in Ray's object store are read-only, and nobody here writes
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(images.pixels).to(device), torch.from_numpy(images.labels).to(device)
