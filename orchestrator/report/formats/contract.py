"""The contract of a report format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.summary import Summary

Figures = Mapping[str, bytes]  # PNG images by file name


@dataclass(frozen=True)
class Format:
    """One file of a report: its name and what writes it; the figures are written beside it if it `has_figures`."""

    file: str
    render: Callable[[Summary, Figures], str]
    has_figures: bool = True
