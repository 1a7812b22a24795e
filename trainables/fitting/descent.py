"""Descent: an optimiser with its learning-rate schedule, stopped and resumed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from trainables.fitting.batches import Batch
from trainables.fitting.optimisation import OptimisationSpec


class Descent:
    """An optimiser with its schedule over a model's parameters."""

    def __init__(self, parameters: Iterable[nn.Parameter], optimisation: OptimisationSpec, epochs: int) -> None:
        trained = [p for p in parameters if p.requires_grad]
        self.optimizer = _optimizer(trained, optimisation)
        self.schedule = _schedule(self.optimizer, optimisation, epochs)

    def epoch(self, batches: Iterable[Batch], loss_of: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
        """Take one step a batch along the gradient of `loss_of(images, labels)`; return the mean loss and lr."""
        lr = self.optimizer.param_groups[0]["lr"]
        losses = [self.step(loss_of(images, labels)) for images, labels in batches]
        self.schedule.step()
        return {"loss": torch.stack(losses).mean().item(), "lr": float(lr)}

    def step(self, loss: Tensor) -> Tensor:
        """Take one step down the loss's gradient; return the loss without its graph."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "schedule": _numbers_of(self.schedule.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def _optimizer(parameters: list[nn.Parameter], optimisation: OptimisationSpec) -> torch.optim.Optimizer:
    if optimisation.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=optimisation.lr, weight_decay=optimisation.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=optimisation.lr,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
        nesterov=optimisation.nesterov,
    )


def _schedule(
    optimizer: torch.optim.Optimizer, optimisation: OptimisationSpec, epochs: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if optimisation.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    milestones = list(optimisation.milestones) if optimisation.schedule == "multistep" else []
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=optimisation.gamma)


def _numbers_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's numbers; what its constructor gave it (milestones, a Counter) stays there."""
    return {k: v for k, v in state.items() if v is None or isinstance(v, bool | int | float | list)}
