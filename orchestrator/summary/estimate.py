"""A mean over seeds and its standard error."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds and its standard error, which takes at least two seeds."""

    mean: float
    stderr: float | None
    n: int


def estimated(values: Sequence[float]) -> Estimate | None:
    """Return the mean of the seeds' values with its standard error; None if there is no value."""
    if not values:
        return None
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), stderr, len(values))


def labels_of_best(estimates: Mapping[str, Estimate | None]) -> frozenset[str]:
    """Return the labels with the highest mean, including ties; none where fewer than two compete."""
    means = {label: estimate.mean for label, estimate in estimates.items() if estimate}
    if len(means) < 2:
        return frozenset()
    top = max(means.values())
    return frozenset(label for label, mean in means.items() if math.isclose(mean, top, abs_tol=1e-9))
