"""A criterion: how far the answer is from the target."""

from trainables.attacks import Criterion

SQUARED_ERROR = Criterion(lambda output, targets: (output[:, 0] - targets).square(), judges=frozenset({"tolerance"}))
