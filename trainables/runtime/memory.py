"""GPU memory: what a device has, what a unit took, and letting go of it. On the CPU nothing is measured."""

from __future__ import annotations

import gc
import math

import torch


def total_memory() -> int:
    """Return the bytes of the first GPU that this process sees, as PyTorch may use them."""
    return int(torch.cuda.get_device_properties(0).total_memory)


def let_go(device: torch.device) -> None:
    """Give back what nothing refers to any more, so that other processes of the GPU have it; measure the peak anew."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Return the most MiB of tensors since `let_go`, by name; a process's CUDA context comes on top."""
    if device.type != "cuda":
        return {}
    return {"gpu_peak_mib": math.ceil(torch.cuda.max_memory_allocated(device) / 2**20)}
