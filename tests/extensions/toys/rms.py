"""A norm: the root of the mean square of a perturbation's pixels."""

import math

from trainables.attacks import NORMS, Norm

L2 = NORMS["l2"]


def _root(delta):
    return math.sqrt(delta[0].numel())


RMS = Norm(
    size=lambda delta: L2.size(delta) / _root(delta),
    steepest=lambda gradient: L2.steepest(gradient) * _root(gradient),
    project=lambda delta, eps: L2.project(delta, eps * _root(delta)),
    start=lambda noise: L2.start(noise) * _root(noise),
    largest=1.0,
)
