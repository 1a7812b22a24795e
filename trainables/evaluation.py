"""Accuracy of a model, clean and under attack, example by example.

The mode is `per_attack`: every attack meets every example that is classified correctly without it. Exact savings
only: misclassified examples are not attacked; an example broken at a smaller eps of the same attack stays broken;
fooled examples leave the batch. Every adversarial image is judged in a forward pass of its own, after its size
and its range were checked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trainables.attacks import ATTACKS
from trainables.attacks.norms import NORMS
from trainables.attacks.starts import uniform_noise
from trainables.specs import AttackSpec

BATCH = 256
TOLERANCE = 1e-4  # of eps; float32 rounding of origin + perturbation


@dataclass(frozen=True)
class Outcome:
    """What became of every example at one eps: correct [N] bool, prediction [N] int, distance [N] in the norm."""

    eps: float
    correct: np.ndarray
    prediction: np.ndarray
    distance: np.ndarray
    seconds: float


@contextmanager
def frozen(*models: nn.Module) -> Iterator[None]:
    """Hold models in evaluation mode without gradients of parameters, and restore both."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    gradients = [(p, p.requires_grad) for model in models for p in model.parameters()]
    try:
        for model in models:
            model.eval()
            model.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, wanted in gradients:
            parameter.requires_grad_(wanted)


def evaluate_clean(model: nn.Module, images: Tensor, labels: Tensor) -> Outcome:
    """Classify uint8 images [N, C, H, W] without an attack."""
    start = time.perf_counter()
    with frozen(model):
        prediction = _predict(model, images)
    return _outcome(0.0, prediction, labels, torch.zeros(len(labels)), time.perf_counter() - start)


def evaluate_attacked(
    model: nn.Module, view: nn.Module, images: Tensor, labels: Tensor, *, attack: AttackSpec, seed: int
) -> list[Outcome]:
    """Attack uint8 images [N, C, H, W] through `view` and judge them by `model`, one Outcome an eps."""
    with frozen(model, view):
        prediction = _predict(model, images)
        distance = torch.zeros(len(labels), device=labels.device)
        outcomes = []
        for eps in attack.eps:
            start = time.perf_counter()
            for batch in _batches(prediction == labels):
                origin = _float(images[batch])
                found = _craft(view, origin, labels[batch], batch, attack, eps=eps, seed=seed, stop_early=True)
                distance[batch] = _checked_size(found - origin, found, attack, eps)
                prediction[batch] = _classes(model, found)
            outcomes.append(_outcome(eps, prediction, labels, distance, time.perf_counter() - start))
    return outcomes


def craft(view: nn.Module, images: Tensor, labels: Tensor, *, attack: AttackSpec, seed: int) -> dict[str, Tensor]:
    """Attack every one of the uint8 images to the end; return float32 images [N, C, H, W] by eps."""
    crafted = {}
    with frozen(view):
        for eps in attack.eps:
            batches = torch.arange(len(labels), device=labels.device).split(BATCH)
            found = [
                _craft(view, _float(images[b]), labels[b], b, attack, eps=eps, seed=seed, stop_early=False)
                for b in batches
            ]
            crafted[repr(eps)] = torch.cat(found).cpu()
    return crafted


def evaluate_transferred(
    model: nn.Module, crafted: Mapping[str, Tensor], images: Tensor, labels: Tensor, *, attack: AttackSpec
) -> list[Outcome]:
    """Judge `model` on images that were crafted elsewhere; what it misclassifies when clean counts as broken."""
    outcomes = []
    with frozen(model):
        clean = _predict(model, images)
        for eps in attack.eps:
            start = time.perf_counter()
            prediction, distance = clean.clone(), torch.zeros(len(labels), device=labels.device)
            for batch in _batches(clean == labels):
                found = crafted[repr(eps)][batch.cpu()].to(images.device)
                distance[batch] = _checked_size(found - _float(images[batch]), found, attack, eps)
                prediction[batch] = _classes(model, found)
            outcomes.append(_outcome(eps, prediction, labels, distance, time.perf_counter() - start))
    return outcomes


def _craft(
    view: nn.Module,
    origin: Tensor,
    labels: Tensor,
    indices: Tensor,
    attack: AttackSpec,
    *,
    eps: float,
    seed: int,
    stop_early: bool,
) -> Tensor:
    shape = tuple(origin.shape[1:])
    return ATTACKS[attack.name].craft(
        view,
        origin,
        labels,
        eps=eps,
        spec=attack,
        starts=lambda restart: uniform_noise(indices, shape, seed=seed, restart=restart),
        stop_early=stop_early,
    )


def _batches(chosen: Tensor) -> tuple[Tensor, ...]:
    """Return the indices of the chosen examples, a batch at a time; none if none is chosen."""
    indices = chosen.nonzero().flatten()
    return indices.split(BATCH) if len(indices) else ()


def _checked_size(perturbation: Tensor, images: Tensor, attack: AttackSpec, eps: float) -> Tensor:
    """Return the sizes [B]; raise RuntimeError if an attack left its ball or [0, 1]."""
    size = NORMS[attack.norm].size(perturbation)
    low, high, largest = images.min().item(), images.max().item(), size.max().item()
    if not (low >= 0 and high <= 1 and largest <= eps * (1 + TOLERANCE) + 1e-6):  # so that NaN is outside
        raise RuntimeError(
            f"attack {attack.name} left its bounds: |x' - x|_{attack.norm} <= {eps} and 0 <= x' <= 1 must hold, "
            f"got {largest}, [{low}, {high}]"
        )
    return size


def _float(images: Tensor) -> Tensor:
    return images.float() / 255


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor) -> Tensor:
    return model(images).argmax(1)


def _predict(model: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([_classes(model, _float(batch)) for batch in images.split(BATCH)])


def _outcome(eps: float, prediction: Tensor, labels: Tensor, distance: Tensor, seconds: float) -> Outcome:
    correct = (prediction == labels).cpu().numpy()
    return Outcome(eps, correct, prediction.cpu().numpy().copy(), distance.cpu().numpy().copy(), seconds)
