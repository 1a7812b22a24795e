"""No defense: the network trained on clean images with cross-entropy, the baseline of every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import nn
from torch.nn.functional import cross_entropy

from trainables.fitting import Batches, Descent, Task
from trainables.networks import NETWORKS
from trainables.specs import DefenseConfig


class NaturalConfig(DefenseConfig):
    """Nothing to set."""

    name: Literal["none"] = "none"


class Natural:
    """Cross-entropy on clean images."""

    Config: ClassVar[type[DefenseConfig]] = NaturalConfig
    views: ClassVar[frozenset[str]] = frozenset({"default"})

    def __init__(self, config: NaturalConfig, task: Task) -> None:
        network = NETWORKS[task.network.name]
        self.model: nn.Module = network(task.shape, task.classes, width=task.network.width).to(task.device)
        self._descent = Descent(self.model.parameters(), task.optimisation, task.epochs)

    def prepare(self, batches: Batches) -> None:
        pass

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        return self._descent.epoch(batches, lambda images, labels: cross_entropy(self.model(images), labels))

    def view(self, name: str) -> nn.Module:
        return self.model

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "descent": self._descent.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._descent.load_state_dict(state["descent"])
