"""Gradient steps that any defense can use: the task, batches with augmentation, optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from trainables.images import Shape, as_float, require_pixels
from trainables.specs import NetworkSpec, OptimisationSpec

Batch = tuple[Tensor, Tensor]
CROP_PADDING = 4


@dataclass(frozen=True)
class Task:
    """What a defense is built for: images of `shape` (C, H, W), classes, network, optimisation, device."""

    shape: Shape
    classes: int
    network: NetworkSpec
    optimisation: OptimisationSpec
    epochs: int
    device: torch.device


class Batches:
    """The training images on the device, uint8 [N, C, H, W]: each iteration is one epoch in a new order.

    A batch is float32 images [B, C, H, W] in [0, 1] and int64 labels [B]. Order and augmentation come from the
    generator, which lives on the CPU so that they are the same on every device.
    """

    def __init__(
        self, pixels: Tensor, labels: Tensor, optimisation: OptimisationSpec, generator: torch.Generator
    ) -> None:
        require_pixels(pixels)
        self.pixels, self.labels = pixels, labels
        self.size, self.augmentation = optimisation.batch_size, optimisation.augmentation
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.labels) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.labels), generator=self.generator).to(self.labels.device)
        for indices in order.split(self.size):
            images = self.pixels[indices]
            for name in self.augmentation:
                images = AUGMENTATIONS[name](images, self.generator)
            yield as_float(images), self.labels[indices]


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability one half."""
    chosen = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad by 4 pixels of 0 and cut each image out again at an offset of its own."""
    height, width = images.shape[2:]
    rows, columns = torch.randint(0, 2 * CROP_PADDING + 1, (2, len(images)), generator=generator).to(images.device)
    padded = pad(images, [CROP_PADDING] * 4)
    at = torch.arange(len(images), device=images.device)[:, None, None]
    y = (rows[:, None] + torch.arange(height, device=images.device))[:, :, None]
    x = (columns[:, None] + torch.arange(width, device=images.device))[:, None, :]
    return padded.permute(0, 2, 3, 1)[at, y, x].permute(0, 3, 1, 2)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"flip": _flip, "crop": _crop}


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
        return {"optimizer": self.optimizer.state_dict(), "schedule": _plain(self.schedule.state_dict())}

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


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """Return a schedule's numbers; what its constructor gave it (milestones, a Counter) stays there."""
    return {k: v for k, v in state.items() if v is None or isinstance(v, bool | int | float | list)}
