"""Defenses that are nothing but a loss: the task's network, trained on it, is the model and its only view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.attacks.criteria import CLASSES
from trainables.defenses.contract import Defense, DefenseConfig, NoInference
from trainables.defenses.fit import Fit, network_of
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.networks.staged import Staged
from trainables.values import Frozen

ConfigT = TypeVar("ConfigT", bound=DefenseConfig)
ConfigT_contra = TypeVar("ConfigT_contra", bound=DefenseConfig, contravariant=True)
LabelSmoothing = Annotated[
    float, Field(ge=0, lt=1, description="share of each label spread evenly over the classes (torch's cross_entropy)")
]


class BatchLoss(Protocol[ConfigT_contra]):
    """The loss, a scalar, of images [B, C, H, W] in [0, 1] and labels [B]; `generator` is the batches', on the CPU."""

    def __call__(
        self, model: Staged, images: Tensor, labels: Tensor, *, config: ConfigT_contra, generator: torch.Generator
    ) -> Tensor: ...


def trained_by(
    loss: BatchLoss[ConfigT], config_type: type[ConfigT], *, for_judges: frozenset[str] | None = CLASSES
) -> type[Defense]:
    """Return the defense that trains the task's network on `loss` under a config of `config_type`.

    `for_judges` names the judges whose kind of answer the loss is for (None: any).
    """

    class TrainedByLoss:
        Config: ClassVar[type[DefenseConfig]] = config_type
        Inference: ClassVar[type[Frozen]] = NoInference
        views: ClassVar[frozenset[str]] = frozenset({"default"})
        judges: ClassVar[frozenset[str] | None] = for_judges

        def __init__(self, config: Any, task: Task) -> None:
            self._config = config
            self._network = network_of(task)
            self._fit = Fit(self._network, task)
            self.model: nn.Module = self._network

        def prepare(self, batches: Batches) -> None:
            pass

        def train_epoch(self, batches: Batches) -> dict[str, float]:
            def loss_of(images: Tensor, labels: Tensor) -> Tensor:
                return loss(self._network, images, labels, config=self._config, generator=batches.generator)

            return self._fit.epoch(batches, loss_of)

        def view(self, name: str, inference: Frozen | None = None) -> nn.Module:
            return self.model

        def state_dict(self) -> dict[str, Any]:
            return self._fit.state_dict()

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self._fit.load_state_dict(state)

    return TrainedByLoss
