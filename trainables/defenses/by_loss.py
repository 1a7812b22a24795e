"""Defenses that minimise one loss of a batch: what differs between them is a function each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.attacks.criterion import CLASSES
from trainables.defenses.contract import Defense, DefenseConfig, NoInference, require_view
from trainables.defenses.fit import Fit, network_of
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.networks.staged import Staged
from trainables.values import Frozen

ModelT = TypeVar("ModelT", bound=nn.Module)
ModelT_contra = TypeVar("ModelT_contra", bound=nn.Module, contravariant=True)
ConfigT = TypeVar("ConfigT", bound=DefenseConfig)
ConfigT_contra = TypeVar("ConfigT_contra", bound=DefenseConfig, contravariant=True)
LabelSmoothing = Annotated[
    float, Field(ge=0, lt=1, description="share of each label spread evenly over the classes (torch's cross_entropy)")
]


MODEL_ALONE: dict[str, Callable[[nn.Module, Any, Any], nn.Module]] = {"default": lambda model, config, inference: model}


class BatchLoss(Protocol[ModelT_contra, ConfigT_contra]):
    """The loss, a scalar, of images [B, C, H, W] in [0, 1] and labels [B]; `generator` is the batches', on the CPU."""

    def __call__(
        self,
        model: ModelT_contra,
        images: Tensor,
        labels: Tensor,
        *,
        config: ConfigT_contra,
        generator: torch.Generator,
    ) -> Tensor: ...


def trained_by(
    loss: BatchLoss[Staged, ConfigT], config_type: type[ConfigT], *, for_judges: frozenset[str] | None = CLASSES
) -> type[Defense]:
    """Return the defense that trains the task's network on `loss`; the network is its model and its only view.

    `for_judges` names the judges whose kind of answer the loss is for (None: any).
    """
    return defense_of(_network, loss, config_type, for_judges=for_judges)


def defense_of(
    model_of: Callable[[ConfigT, Task], ModelT],
    loss: BatchLoss[ModelT, ConfigT],
    config_type: type[ConfigT],
    *,
    prepare: Callable[[ModelT, ConfigT, Batches], None] = lambda model, config, batches: None,
    metrics_of: Callable[[ModelT, ConfigT], dict[str, float]] = lambda model, config: {},
    view_of: Mapping[str, Callable[[ModelT, ConfigT, Any], nn.Module]] = MODEL_ALONE,
    inference_type: type[Frozen] = NoInference,
    for_judges: frozenset[str] | None = CLASSES,
) -> type[Defense]:
    """Return the defense that builds its model with `model_of`, on the task's device, and trains it on `loss`.

    `prepare` runs before the first epoch, and `metrics_of` adds to the metrics of every epoch. `view_of` builds each
    view, by its name, under settings of `inference_type`. `for_judges` is that of `trained_by`.
    """

    class TrainedByLoss:
        Config: ClassVar[type[DefenseConfig]] = config_type
        Inference: ClassVar[type[Frozen]] = inference_type
        views: ClassVar[frozenset[str]] = frozenset(view_of)
        judges: ClassVar[frozenset[str] | None] = for_judges

        def __init__(self, config: Any, task: Task) -> None:
            self._config = config
            self._model = model_of(config, task)
            self._fit = Fit(self._model, task)
            self.model: nn.Module = self._model

        def prepare(self, batches: Batches) -> None:
            prepare(self._model, self._config, batches)

        def train_epoch(self, batches: Batches) -> dict[str, float]:
            def loss_of(images: Tensor, labels: Tensor) -> Tensor:
                return loss(self._model, images, labels, config=self._config, generator=batches.generator)

            return self._fit.epoch(batches, loss_of) | metrics_of(self._model, self._config)

        def view(self, name: str, inference: Frozen | None = None) -> nn.Module:
            require_view(name, self.views)
            return view_of[name](self._model, self._config, inference or inference_type())

        def state_dict(self) -> dict[str, Any]:
            return self._fit.state_dict()

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self._fit.load_state_dict(state)

    return TrainedByLoss


def _network(config: DefenseConfig, task: Task) -> Staged:
    return network_of(task)
