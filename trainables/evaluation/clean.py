"""A model's answers to images without an attack."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.evaluation.outcome import BATCH, Outcome, outcome_of
from trainables.images import as_float
from trainables.judges import Judge
from trainables.runtime.modes import held

DRAWS = 5  # predictions that a stochastic model is judged by


@dataclass(frozen=True)
class Clean:
    """What a model makes of the images as they are: prediction [N, ...], and the draws by which it is judged.

    One draw, or DRAWS if two passes over the same images differ: then a prediction is what they agree on (the class
    most of them name), so that a single unlucky draw breaks nothing.
    """

    prediction: Tensor
    draws: int


def answers_of(model: nn.Module, images: Tensor, judge: Judge) -> Clean:
    """Predict uint8 images [N, C, H, W] without an attack."""
    with held(model), torch.no_grad():
        draws = DRAWS if is_stochastic(model, images) else 1
        return Clean(torch.cat([agreed(model, as_float(b), judge, draws) for b in images.split(BATCH)]), draws)


@torch.no_grad()
def is_stochastic(model: nn.Module, images: Tensor) -> bool:
    """Return whether two passes over the same uint8 images differ."""
    first = as_float(images[:BATCH])
    return not torch.equal(model(first), model(first))


def evaluate_clean(model: nn.Module, images: Tensor, labels: Tensor, judge: Judge) -> Outcome:
    """Predict uint8 images [N, C, H, W] without an attack, as an Outcome at eps 0."""
    start = time.perf_counter()
    return outcome_of(0.0, answers_of(model, images, judge).prediction, labels, torch.zeros(len(labels)), judge, start)


@torch.no_grad()
def agreed(model: nn.Module, images: Tensor, judge: Judge, draws: int) -> Tensor:
    """Return the prediction [B, ...] for float images that `draws` predictions agree on."""
    return judge.agree(torch.stack([judge.predict(model(images)) for _ in range(draws)]))
