"""A model's answers under attack, example by example.

An attack by itself meets every example that is answered correctly without it (the mode `per_attack`); the attacks
of a suite each meet what those before them left (`worst_case`). Exact savings only: examples that are broken already
are not attacked; an example broken at a smaller eps of the same threat stays broken; fooled examples leave the batch;
an attack that looks for the nearest image that fools runs once for all eps. Every adversarial image is judged in a
forward pass of its own, after its size and its range were checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainables.attacks import ATTACKS, CRITERIA, Goal
from trainables.attacks.expectation import Expected
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec
from trainables.evaluation.clean import Clean, agreed, answers_of
from trainables.evaluation.outcome import BATCH, Outcome, checked, outcome_of
from trainables.images import as_float
from trainables.judges import Judge
from trainables.runtime.modes import held


def evaluate_suite(
    model: nn.Module,
    threats: Sequence[tuple[AttackSpec, nn.Module]],
    images: Tensor,
    labels: Tensor,
    *,
    judge: Judge,
    seed: int,
    clean: Clean | None = None,
) -> list[Outcome]:
    """Attack uint8 images [N, C, H, W] with one threat after the other, each through its view; one Outcome an eps.

    All threats share a norm and a grid of eps. `clean` is `answers_of(model, images, judge)`, where the caller has it.
    """
    clean = clean or answers_of(model, images, judge)
    with held(model, *(view for _, view in threats)):
        field = _Field(model, images, labels, judge, clean, seed)
        armed = [_arm(field, attack, view) for attack, view in threats]
        outcomes = []
        for eps in threats[0][0].eps:
            start, before = time.perf_counter(), field.queries
            for strike in armed:
                strike(eps)
            outcomes.append(
                outcome_of(eps, field.prediction, labels, field.distance, judge, start, queries=field.queries - before)
            )
    return outcomes


class _Field:
    """What a model predicts of each example by now [N, ...], and the size [N] of the perturbation that led to it."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor, judge: Judge, clean: Clean, seed: int) -> None:
        self.model, self.images, self.labels = model, images, labels
        self.judge, self.draws, self.seed = judge, clean.draws, seed
        self.prediction = clean.prediction.clone()
        self.distance = torch.zeros(len(labels), device=labels.device)
        self.queries = 0

    def standing(self) -> tuple[Tensor, ...]:
        """Return the indices of the examples not broken yet, a batch at a time."""
        indices = (~self.broken(self.prediction)).nonzero().flatten()
        return indices.split(BATCH) if len(indices) else ()

    def broken(self, prediction: Tensor) -> Tensor:
        """Return whether each of the predictions [N, ...] is broken."""
        return self.judge.broken(prediction, self.labels)

    def score(self, prediction: Tensor) -> Tensor:
        """Return the score [N] of each of the predictions [N, ...]."""
        return self.judge.score(prediction, self.labels)

    def keep(self, prediction: Tensor, distance: Tensor, where: Tensor) -> None:
        """Take predictions [N, ...] and their distances [N] `where` [N] they score no higher than those so far."""
        worse = where & (self.score(prediction) <= self.score(self.prediction))
        self.prediction[worse], self.distance[worse] = prediction[worse], distance[worse]

    def attacked(self, batch: Tensor, attack: AttackSpec, view: nn.Module, eps: float) -> tuple[Tensor, ...]:
        """Attack the examples at `batch` [B]; return their images, the model's predictions and the sizes."""
        origin, labels = as_float(self.images[batch]), self.labels[batch]
        counted = _Counted(view)
        goal = Goal(CRITERIA[attack.loss], self.judge)
        found = attack_batch(counted, origin, labels, batch, attack, goal, eps=eps, seed=self.seed, stop_early=True)
        self.queries += counted.images
        size = _checked_size(found - origin, found, attack, eps)
        return agreed(self.model, found, self.judge, self.draws), size


def _arm(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    """Return a function of eps that attacks every example still standing."""
    return _once(field, attack, view) if ATTACKS[attack.name].minimises else _at_each_eps(field, attack, view)


def _at_each_eps(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    def strike(eps: float) -> None:
        prediction, distance = field.prediction.clone(), field.distance.clone()
        where = torch.zeros_like(distance, dtype=torch.bool)
        for batch in field.standing():
            prediction[batch], distance[batch] = field.attacked(batch, attack, view, eps)
            where[batch] = True
        field.keep(prediction, distance, where)

    return strike


def _once(field: _Field, attack: AttackSpec, view: nn.Module) -> Callable[[float], None]:
    """Attack what stands when the smallest eps comes; an example is broken at every eps that its image is within."""
    prediction = field.prediction.clone()
    distance = torch.full_like(field.distance, torch.inf)
    has_run = False

    def strike(eps: float) -> None:
        nonlocal has_run
        if not has_run:
            for batch in field.standing():
                prediction[batch], distance[batch] = field.attacked(batch, attack, view, attack.eps[-1])
            has_run = True
        lower = field.score(prediction) < field.score(field.prediction)
        field.keep(prediction, distance, ~field.broken(field.prediction) & lower & (distance <= eps))

    return strike


class _Counted(nn.Module):
    """A view that counts the images it predicts."""

    def __init__(self, view: nn.Module) -> None:
        super().__init__()
        self.view, self.images = view, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.view(images)


def attack_batch(
    view: nn.Module,
    origin: Tensor,
    labels: Tensor,
    indices: Tensor,
    attack: AttackSpec,
    goal: Goal,
    *,
    eps: float,
    seed: int,
    stop_early: bool,
) -> Tensor:
    """Attack images [B, C, H, W] in [0, 1], the examples at `indices` [B] of their split, through `view`."""
    known = ATTACKS[attack.name]
    assert known.craft is not None, "a suite is run attack by attack"
    return known.craft(
        view if attack.eot_samples == 1 else Expected(view, attack.eot_samples, goal.judge),
        origin,
        labels,
        eps=eps,
        spec=attack,
        goal=goal,
        noise=Noise(indices, tuple(origin.shape[1:]), seed),
        stop_early=stop_early,
    )


def _checked_size(perturbation: Tensor, images: Tensor, attack: AttackSpec, eps: float) -> Tensor:
    """Return the sizes [B]; raise RuntimeError if an attack left [0, 1] or the ball that it was to stay in."""
    size = NORMS[attack.norm].size(perturbation)
    return checked(size, images, attack, torch.inf if ATTACKS[attack.name].minimises else eps)
