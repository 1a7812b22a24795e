"""A mean over seeds and how sure it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over n seeds; below two seeds it has no standard error."""

    mean: float
    stderr: float | None
    n: int


def estimated(values: Sequence[float]) -> Estimate | None:
    """Return the mean of the seeds' values and its standard error; None without a value."""
    if not values:
        return None
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), stderr, len(values))


def best_of(estimates: Mapping[str, Estimate | None]) -> frozenset[str]:
    """Return the labels of the highest mean, all that tie; none where fewer than two compete."""
    means = {label: estimate.mean for label, estimate in estimates.items() if estimate}
    if len(means) < 2:
        return frozenset()
    top = max(means.values())
    return frozenset(label for label, mean in means.items() if math.isclose(mean, top, abs_tol=1e-9))


def written(estimate: Estimate, planned: int, form: str) -> str:
    """Write a mean and its standard error in the format `form`, and of how many of the planned seeds, if not all."""
    stderr = "" if estimate.stderr is None else f" ± {estimate.stderr:{form}}"
    partial = "" if estimate.n == planned else f" [{estimate.n}/{planned}]"
    return f"{estimate.mean:{form}}{stderr}{partial}"
