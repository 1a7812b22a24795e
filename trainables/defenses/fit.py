"""A model and the descent of its parameters: what a defense that minimises one loss trains and saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from trainables.fitting.batches import Batch
from trainables.fitting.descent import Descent
from trainables.fitting.task import Task
from trainables.networks import NETWORKS
from trainables.networks.staged import Staged


def network_of(task: Task, **options: Any) -> Staged:
    """Build the task's network on its device; `options` are the network's own (cnn3: after_conv, before_head)."""
    network = NETWORKS[task.network.name]
    return network(task.shape, task.outputs, width=task.network.width, **options).to(task.device)


class Fit:
    """A model and its Descent, stopped and resumed together."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        self.model = model
        self.descent = Descent(model.parameters(), task.optimisation, task.epochs)

    def epoch(self, batches: Iterable[Batch], loss_of: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
        """Take one step a batch along the gradient of `loss_of(images, labels)`; return the mean loss and lr."""
        return self.descent.epoch(batches, loss_of)

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "descent": self.descent.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.descent.load_state_dict(state["descent"])
