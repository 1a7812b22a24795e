"""The contract of a defense with the rest of the project."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Protocol

from torch import nn

from trainables.errors import unknown
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.values import Frozen


class NoInference(Frozen):
    """Nothing to set at test time."""


class Defense(Protocol):
    """How to build a model, prepare it on data, train it, and which views of it an attacker may use.

    `Inference` holds the settings that vary at test time and never retrain. `judges` names the judges whose kind of
    answer it is for (None: any). `model` maps float32 images [B, C, H, W] in [0, 1] to outputs [B, ...] as the judge
    reads them, such as logits [B, classes]; any normalisation is inside it.
    """

    Config: ClassVar[type[DefenseConfig]]
    Inference: ClassVar[type[Frozen]]
    views: ClassVar[frozenset[str]]
    judges: ClassVar[frozenset[str] | None]

    @property
    def model(self) -> nn.Module:
        """What is trained, and all of it that predicting needs."""
        ...

    def __init__(self, config: Any, task: Task) -> None: ...

    def prepare(self, batches: Batches) -> None:
        """Set what depends on the data before the first epoch; training images only."""

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch; return its metrics, among them the mean `loss`."""
        ...

    def view(self, name: str, inference: Any = None) -> nn.Module:
        """Return the model as an attacker sees it under settings of type `Inference`.

        `default` is the model as it predicts, by which every attack is judged. Raise InputError for a name that is
        not one of `views` (see `require_view`).
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the model's and the training's state as nested dicts of tensors and JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class DefenseConfig(Frozen):
    """The settings of one defense; each defense declares its own subclass above its training."""

    name: str


def require_view(name: str, views: Collection[str]) -> None:
    """Raise InputError for the name of a view that a defense does not have."""
    if name not in views:
        raise unknown("view", name, views)
