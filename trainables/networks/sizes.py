"""How wide a network is and how small its images may be."""

from __future__ import annotations

from trainables.errors import InputError


def scaled(filters: int, width: int | None, *, first: int) -> int:
    """Return the paper's `filters` times `width` / `first`, its first layer's filters; at least 1. None: unchanged."""
    return filters if width is None else max(1, round(filters * width / first))


def require_side(network: str, shape: tuple[int, int, int], *, least: int) -> None:
    """Raise InputError unless images of `shape` (C, H, W) are `least` pixels high and wide."""
    _, height, side = shape
    if min(height, side) < least:
        raise InputError(f"network {network} needs images of at least {least}x{least}, got {height}x{side}")
