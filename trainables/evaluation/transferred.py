"""Transfer attacks: examples crafted on one model and judged by others, crafted once for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainables.attacks import ATTACKS, CRITERIA, Goal
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec
from trainables.evaluation.attacked import attack_batch
from trainables.evaluation.clean import Clean, agreed, answers_of
from trainables.evaluation.outcome import BATCH, Outcome, checked, outcome_of
from trainables.images import as_float, require_range, require_shape
from trainables.judges import Judge
from trainables.runtime.modes import held


def craft(
    view: nn.Module, images: Tensor, labels: Tensor, *, attack: AttackSpec, judge: Judge, seed: int
) -> dict[str, Tensor]:
    """Attack every one of the uint8 images to the end; return float32 images [N, C, H, W] by eps.

    The nearest images that fool, which an attack that minimises finds, are drawn back into each eps ball.
    """
    goal = Goal(CRITERIA[attack.loss], judge)
    with held(view):
        if ATTACKS[attack.name].minimises:
            nearest = _crafted(view, images, labels, attack, goal, attack.eps[-1], seed)
            origin = as_float(images)
            inside = {e: origin + NORMS[attack.norm].project(nearest - origin, e) for e in attack.eps}
            return {repr(eps): found.clamp(0, 1).cpu() for eps, found in inside.items()}
        return {repr(eps): _crafted(view, images, labels, attack, goal, eps, seed).cpu() for eps in attack.eps}


def _crafted(
    view: nn.Module, images: Tensor, labels: Tensor, attack: AttackSpec, goal: Goal, eps: float, seed: int
) -> Tensor:
    batches = torch.arange(len(labels), device=labels.device).split(BATCH)
    return torch.cat(
        [
            attack_batch(view, as_float(images[b]), labels[b], b, attack, goal, eps=eps, seed=seed, stop_early=False)
            for b in batches
        ]
    )


def evaluate_transferred(
    model: nn.Module,
    crafted: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    attack: AttackSpec,
    judge: Judge,
    clean: Clean | None = None,
) -> list[Outcome]:
    """Judge `model` on images that were crafted elsewhere; an example that is broken when clean stays so.

    Raise InputError for crafted images that are not of the images' shape or not in [0, 1].
    """
    for found in crafted.values():
        require_shape(found, images.shape[1:])
        require_range(found)
    clean = clean or answers_of(model, images, judge)
    outcomes = []
    with held(model):
        for eps in attack.eps:
            start = time.perf_counter()
            prediction, distance = clean.prediction.clone(), torch.zeros(len(labels), device=labels.device)
            standing = (~judge.broken(prediction, labels)).nonzero().flatten()
            for batch in standing.split(BATCH) if len(standing) else ():
                found = crafted[repr(eps)][batch.cpu()].to(images.device)
                size = NORMS[attack.norm].size(found - as_float(images[batch]))
                distance[batch] = checked(size, found, attack, eps)
                prediction[batch] = agreed(model, found, judge, clean.draws)
            outcomes.append(outcome_of(eps, prediction, labels, distance, judge, start))
    return outcomes
