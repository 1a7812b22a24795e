"""Judge: all that depends on the kind of answer that a model gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trainables.registry import Registry, names_of


@dataclass(frozen=True)
class Judge:
    """What an answer is worth. `targets` [B, ...] are what the dataset holds for each image: a class, a value, ...

    `predict`: outputs [B, ...] of a model -> predictions [B, ...].
    `agree`: predictions of several draws [D, B, ...] of a stochastic model -> the prediction [B, ...] it is judged by.
    `expect`: outputs of several draws [D, B, ...] -> the one output [B, ...] that an attack on their mean goes by.
    `score`: predictions and targets -> float32 [B] in [0, 1], 1 for a perfect answer.
    `broken`: predictions and targets -> bool [B]: whether an attack that aims for a wrong answer has its aim.
    `outputs`: all targets [N, ...] of a dataset -> how many numbers a network must give for an image.
    `metric`: what the mean score over examples is called in tables, metrics and objectives, such as "accuracy".
    """

    metric: str
    predict: Callable[[Tensor], Tensor]
    agree: Callable[[Tensor], Tensor]
    expect: Callable[[Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    broken: Callable[[Tensor, Tensor], Tensor]
    outputs: Callable[[np.ndarray], int]


JUDGES: Registry[Judge] = Registry("judge", "judges", needs=names_of(Judge))
