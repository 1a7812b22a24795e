"""What a trial reserves, and how many of them fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.errors import InputError


@dataclass(frozen=True)
class Resources:
    """Where and how wide a sweep runs. A `max_concurrent` of None means as many trials as fit."""

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None

    def check(self) -> None:
        """Raise InputError for resources that no trial could have."""
        if not (math.isfinite(self.cpus_per_trial) and math.isfinite(self.gpus_per_trial)):
            raise InputError(f"resources must be numbers, got {self.cpus_per_trial} CPUs, {self.gpus_per_trial} GPUs")
        if self.cpus_per_trial <= 0 and self.gpus_per_trial <= 0:
            raise InputError(f"a trial needs CPUs or GPUs, got cpus_per_trial={self.cpus_per_trial}")
        if self.cpus_per_trial < 0:
            raise InputError(f"cpus_per_trial must be >= 0, got {self.cpus_per_trial}")
        if self.gpus_per_trial < 0 or (self.gpus_per_trial > 1 and self.gpus_per_trial % 1):
            raise InputError(f"gpus_per_trial must be in [0, 1] or a whole number, got {self.gpus_per_trial}")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise InputError(f"max_concurrent must be >= 1, got {self.max_concurrent}")

    def slots(self, cluster: Mapping[str, float]) -> int:
        """Return how many trials run at once in a cluster of these resources; InputError if none fits."""
        fits = []
        for name, flag, wanted in (
            ("CPU", "--cpus-per-trial", self.cpus_per_trial),
            ("GPU", "--gpus-per-trial", self.gpus_per_trial),
        ):
            if wanted > cluster.get(name, 0):
                raise InputError(f"{flag}={wanted:g} asks for more than the cluster's {cluster.get(name, 0):g} {name}s")
            if wanted:
                fits.append(int(cluster[name] / wanted + 1e-9))
        return min(*fits, self.max_concurrent or min(fits))
