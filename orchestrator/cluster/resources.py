"""The resources that a trial reserves, and the number of trials that fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.cluster.packing import gibibytes, share_of
from trainables.errors import InputError


@dataclass(frozen=True)
class Resources:
    """Where and how wide a sweep runs. A `max_concurrent` of None means as many trials as fit.

    `gpu_memory_per_trial`, in bytes, replaces `gpus_per_trial` until the GPUs are known: see `packed`.
    """

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    gpu_memory_per_trial: int | None = None

    def check(self) -> None:
        """Raise InputError for resources that no trial could have."""
        if not (math.isfinite(self.cpus_per_trial) and math.isfinite(self.gpus_per_trial)):
            raise InputError(f"resources must be numbers, got {self.cpus_per_trial} CPUs, {self.gpus_per_trial} GPUs")
        if self.gpu_memory_per_trial is not None and self.gpus_per_trial:
            raise InputError(
                "a trial's share of a GPU is --gpus-per-trial or follows from --gpu-memory-per-trial, "
                f"got both: {self.gpus_per_trial:g} and {gibibytes(self.gpu_memory_per_trial)}"
            )
        if self.cpus_per_trial <= 0 and self.gpus_per_trial <= 0 and self.gpu_memory_per_trial is None:
            raise InputError(f"a trial needs CPUs or GPUs, got cpus_per_trial={self.cpus_per_trial}")
        if self.cpus_per_trial < 0:
            raise InputError(f"cpus_per_trial must be >= 0, got {self.cpus_per_trial}")
        if not 0 <= self.gpus_per_trial <= 1:
            raise InputError(f"gpus_per_trial must be in [0, 1], a trial uses one GPU, got {self.gpus_per_trial:g}")
        if (self.address or "").startswith("ray://"):
            raise InputError(
                f"address must be that of a cluster this machine is part of, such as auto, got {self.address!r}; "
                "from outside: robust-sweep submit STUDY --address http://head:8265"
            )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise InputError(f"max_concurrent must be >= 1, got {self.max_concurrent}")

    def packed(self, memories: Sequence[int]) -> Resources:
        """Return these with a trial's share of a GPU: its memory over that of the smallest GPU, given their bytes."""
        if self.gpu_memory_per_trial is None:
            return self
        if not memories:
            raise InputError(
                "gpu_memory_per_trial needs a node with a GPU, and there is none (Ray counts no GPU); for nodes that a "
                "cluster has yet to start, give a trial's share by --gpus-per-trial"
            )
        share = share_of(self.gpu_memory_per_trial, min(memories))
        return replace(self, gpus_per_trial=share, gpu_memory_per_trial=None)

    def slots(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many trials run at once on nodes of these resources; InputError if none has room for one.

        On a cluster, which may grow, `max_concurrent` takes the place of what is counted; here it only lowers it.
        """
        fits = sum(map(self.fits, nodes))
        if not fits:
            wanted = self._wanted
            asked = " and ".join(f"{n:g} {name}" for name, n in wanted.items())
            largest = {name: max((node.get(name, 0) for node in nodes), default=0) for name in wanted}
            has = " and ".join(f"{n:g} {name}" for name, n in largest.items())
            raise InputError(
                f"a trial must fit on one node: asked for {asked} (--cpus-per-trial, --gpus-per-trial), "
                f"the largest node has {has}"
            )
        if self.address is not None and self.max_concurrent is not None:
            return self.max_concurrent
        return min(fits, self.max_concurrent or fits)

    def fits(self, node: Mapping[str, float]) -> int:
        """Return how many trials a node of these resources has room for."""
        return min(int(node.get(name, 0) / n + 1e-9) for name, n in self._wanted.items())

    @property
    def _wanted(self) -> dict[str, float]:
        return {name: n for name, n in (("CPU", self.cpus_per_trial), ("GPU", self.gpus_per_trial)) if n}
