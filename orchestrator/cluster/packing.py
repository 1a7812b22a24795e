"""How many trials a GPU holds: memory that a trial needs -> the share of a GPU that it reserves."""

from __future__ import annotations

import re

from trainables.errors import InputError

SHARES = 10_000  # Ray counts a resource in ten thousandths
UNITS = {"MiB": 2**20, "GiB": 2**30, "MB": 10**6, "GB": 10**9}


def parse_memory(text: str) -> int:
    """Return the bytes of a text such as 6GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    units = {unit.lower(): size for unit, size in UNITS.items()}
    size = units.get(found[2].lower()) if found else None
    if found is None or size is None or float(found[1]) == 0:
        raise InputError(f"memory must be a number above 0 and one of {', '.join(UNITS)}, got {text!r} (such as 6GiB)")
    return round(float(found[1]) * size)


def share_of(need: int, memory: int) -> float:
    """Return the share of a GPU of `memory` bytes that `need` bytes take, rounded so that as many trials fit as can.

    Raise InputError if not even one fits.
    """
    if need > memory:
        raise InputError(
            f"gpu_memory_per_trial must fit on the smallest GPU, which has {gibibytes(memory)}, got {gibibytes(need)}"
        )
    trials = min(memory // need, SHARES)
    return (SHARES // trials) / SHARES


def gibibytes(size: float) -> str:
    """Write a number of bytes in GiB."""
    return f"{size / 2**30:.2f} GiB"
