"""Classification: an image has one class, and an answer is right or wrong."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from trainables.judges.judge import Judge


def _log_mean_softmax(logits: Tensor) -> Tensor:
    """Return log E[p] [B, K] of logits [D, B, K]; Athalye et al. (2018) raise E[log p] instead."""
    return logits.log_softmax(2).logsumexp(0) - math.log(len(logits))


def _classes(labels: np.ndarray) -> int:
    return int(labels.max()) + 1


CLASSIFICATION = Judge(
    metric="accuracy",
    predict=lambda logits: logits.argmax(1),
    agree=lambda classes: classes.mode(dim=0).values,
    expect=_log_mean_softmax,
    score=lambda classes, labels: (classes == labels).float(),
    broken=lambda classes, labels: classes != labels,
    outputs=_classes,
)
