"""The figures of a report, in the order in which every format shows them. A new figure is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.report.figures.accuracy import accuracy_figures
from orchestrator.report.figures.measure import measure_maps
from orchestrator.report.figures.transfer import transfer_heat_maps
from orchestrator.summary import Summary

FIGURES: tuple[Callable[[Summary], dict[str, bytes]], ...] = (transfer_heat_maps, accuracy_figures, measure_maps)


def figures_of(summary: Summary) -> dict[str, bytes]:
    """Return a report's figures, PNG images by file name."""
    return {name: image for draw in FIGURES for name, image in draw(summary).items()}
