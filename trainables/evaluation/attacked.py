"""Accuracy of a model, clean and under attack, example by example.

An attack by itself meets every example that is classified correctly without it (the mode `per_attack`); the attacks
of a suite each meet what those before them left (`worst_case`). Exact savings only: misclassified examples are not
attacked; an example broken at a smaller eps of the same threat stays broken; fooled examples leave the batch; an
attack that looks for the nearest misclassified image runs once for all eps. Every adversarial image is judged in a
forward pass of its own, after its size and its range were checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainables.attacks import ATTACKS
from trainables.attacks.expectation import Expected
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec
from trainables.evaluation.clean import Clean, classes, classify
from trainables.evaluation.outcome import BATCH, Outcome, checked, outcome_of
from trainables.images import as_float
from trainables.runtime.modes import frozen


def evaluate_attacked(
    model: nn.Module,
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    attack: AttackSpec,
    seed: int,
    clean: Clean | None = None,
) -> list[Outcome]:
    """Attack uint8 images [N, C, H, W] through `view` and judge them by `model`, one Outcome an eps.

    `clean` is `classify(model, images)`, where the caller has it.
    """
    return evaluate_suite(model, [(attack, view)], images, labels, seed=seed, clean=clean)


def evaluate_suite(
    model: nn.Module,
    threats: Sequence[tuple[AttackSpec, nn.Module]],
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    clean: Clean | None = None,
) -> list[Outcome]:
    """Attack with one threat after the other, each through its view; all share a norm and a grid of eps."""
    clean = clean or classify(model, images)
    with frozen(model, *(view for _, view in threats)):
        field = _Field(model, images, labels, clean, seed)
        armed = [_arm(field, attack, view) for attack, view in threats]
        outcomes = []
        for eps in threats[0][0].eps:
            start, before = time.perf_counter(), field.queries
            for strike in armed:
                strike(eps)
            outcomes.append(
                outcome_of(eps, field.prediction, labels, field.distance, start, queries=field.queries - before)
            )
    return outcomes


class _Field:
    """Where a model's examples stand: the prediction [N] of each and the size [N] of its perturbation."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, clean: Clean, seed: int) -> None:
        self.model, self.images, self.labels, self.draws, self.seed = model, images, labels, clean.draws, seed
        self.prediction = clean.prediction.clone()
        self.distance = torch.zeros(len(labels), device=labels.device)
        self.queries = 0

    def standing(self) -> tuple[Tensor, ...]:
        """Return the indices of the examples not broken yet, a batch at a time."""
        indices = (self.prediction == self.labels).nonzero().flatten()
        return indices.split(BATCH) if len(indices) else ()

    def attacked(self, batch: Tensor, attack: AttackSpec, view: nn.Module, eps: float) -> tuple[Tensor, ...]:
        """Attack the examples at `batch` [B]; return their images, the model's predictions and the sizes."""
        origin, labels = as_float(self.images[batch]), self.labels[batch]
        counted = _Counted(view)
        found = run(counted, origin, labels, batch, attack, eps=eps, seed=self.seed, stop_early=True)
        self.queries += counted.images
        size = _checked_size(found - origin, found, attack, eps)
        return classes(self.model, found, self.draws), size


def _arm(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    """Return what breaks the field's standing examples by an attack, told an eps."""
    return _once(field, attack, view) if ATTACKS[attack.name].minimises else _at_each_eps(field, attack, view)


def _at_each_eps(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    def strike(eps: float) -> None:
        for batch in field.standing():
            field.prediction[batch], field.distance[batch] = field.attacked(batch, attack, view, eps)

    return strike


def _once(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    """Attack what stands when the smallest eps comes; an example is broken at every eps that its image is within."""
    prediction = field.prediction.clone()
    distance = torch.full_like(field.distance, torch.inf)
    run = False

    def strike(eps: float) -> None:
        nonlocal run
        if not run:
            for batch in field.standing():
                prediction[batch], distance[batch] = field.attacked(batch, attack, view, attack.eps[-1])
            run = True
        reached = (field.prediction == field.labels) & (prediction != field.labels) & (distance <= eps)
        field.prediction[reached], field.distance[reached] = prediction[reached], distance[reached]

    return strike


class _Counted(nn.Module):
    """A view that counts the images it classifies."""

    def __init__(self, view: nn.Module) -> None:
        super().__init__()
        self.view, self.images = view, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.view(images)


def run(
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
    """Attack images [B, C, H, W] in [0, 1], the examples at `indices` [B] of their split, through `view`."""
    known = ATTACKS[attack.name]
    assert known.craft is not None, "a suite is run attack by attack"
    return known.craft(
        view if attack.eot_samples == 1 else Expected(view, attack.eot_samples),
        origin,
        labels,
        eps=eps,
        spec=attack,
        noise=Noise(indices, tuple(origin.shape[1:]), seed),
        stop_early=stop_early,
    )


def _checked_size(perturbation: Tensor, images: Tensor, attack: AttackSpec, eps: float) -> Tensor:
    """Return the sizes [B]; raise RuntimeError if an attack left [0, 1] or the ball that it was to stay in."""
    size = NORMS[attack.norm].size(perturbation)
    return checked(size, images, attack, torch.inf if ATTACKS[attack.name].minimises else eps)
