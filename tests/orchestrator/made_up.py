"""Records of a classifier that was never run."""

from typing import Any

import numpy as np

from trainables.results import Record
from trainables.specs import EvaluationSpec


def record_of(evaluation: EvaluationSpec, eps: float, correct: np.ndarray, *rest: Any, **named: Any) -> Record:
    """Return a record whose answers are right or wrong; the other arguments are Record's, in its order."""
    return Record(evaluation, eps, np.asarray(correct, np.float32), correct, *rest, **named)
