"""The origin of a record: versions of our code and of the libraries, and the hardware."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from trainables.runtime.memory import peak_memory

LIBRARIES = ("ray", "torch", "numpy")


def provenance(device: torch.device) -> dict[str, Any]:
    """Return versions, a hash of the code that trains and attacks, the device, its threads and a unit's GPU memory."""
    return {
        **_versions(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        **({"gpu_peak_mib": peak_memory(device)} if device.type == "cuda" else {}),
    }


@functools.cache
def _processor() -> str:
    """Return the CPU's name where the system tells it (Linux), else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@functools.cache
def _versions() -> dict[str, str]:
    return {
        "robust_sweep": version(),
        "code": code_hash(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def version() -> str:
    """Return this package's version; "unknown" in a tree that was never installed."""
    try:
        return metadata.version("robust-sweep")
    except metadata.PackageNotFoundError:
        return "unknown"


@functools.cache
def code_hash() -> str:
    """Hash the sources under `trainables`, which decide what a spec means."""
    whole = hashlib.sha256()
    root = Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py")):
        whole.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return whole.hexdigest()[:12]
