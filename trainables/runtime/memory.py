"""GPU memory: how much a device has, how much a unit took, and giving it back. On the CPU nothing is measured."""

from __future__ import annotations

import gc
import math

import torch


def total_memory() -> int:
    """Return the bytes of the first GPU that this process sees, as PyTorch may use them."""
    return int(torch.cuda.get_device_properties(0).total_memory)


def let_go(device: torch.device) -> None:
    """Free memory that nothing refers to, for the GPU's other processes; start to measure the peak anew."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the most MiB of tensors since `let_go`, 0 on the CPU; a process's CUDA context comes on top."""
    return math.ceil(torch.cuda.max_memory_allocated(device) / 2**20) if device.type == "cuda" else 0
