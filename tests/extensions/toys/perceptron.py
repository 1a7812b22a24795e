"""A network: one hidden layer."""

import math

from torch import nn

from trainables.networks import Staged


def perceptron(shape, outputs, *, width=None):
    """Return a perceptron with `width` hidden units."""
    width = width or 32
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width), nn.ReLU())
    return Staged({"hidden": hidden}, nn.Linear(width, outputs), shape)
