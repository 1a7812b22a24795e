"""Pictures of a measure's matrix over pairs of classes (afd, Figure 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from orchestrator.report.figures.style import MATRIX_COLOURS, TEXT_SIZE, TICK_SIZE, panels, png
from orchestrator.summary import Summary

PANEL_INCHES = 2.6
CHARACTERS_A_LINE = 32


def measure_maps(summary: Summary) -> dict[str, bytes]:
    """Return one PNG for each matrix, `<measure>_<name>.png`, with a panel for each variant.

    A study that measured no matrix has none.
    """
    files: dict[str, bytes] = {}
    for measure in summary.plan.measures:
        names = dict.fromkeys(
            name
            for (_, column), found in summary.measurements.items()
            for record in found.records.values()
            for name, value in record.values.items()
            if column == measure and value.ndim == 2
        )
        files |= {f"{measure}_{name}.png": _figure(_means(summary, measure, name), name) for name in names}
    return files


def _means(summary: Summary, measure: str, name: str) -> dict[str, np.ndarray]:
    """Return each variant's mean over its seeds."""
    found = {label: summary.measurements[label, measure].records.values() for label in summary.labels}
    matrices = {label: [r.values[name] for r in records if name in r.values] for label, records in found.items()}
    return {label: np.mean(each, axis=0) for label, each in matrices.items() if each}


def _figure(matrices: Mapping[str, np.ndarray], name: str) -> bytes:
    figure, grid = panels(len(matrices), inches=(PANEL_INCHES, PANEL_INCHES), margin=(1.0, 0.4), sharex=True)
    finite = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices.values()])
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    for axes, (label, matrix) in zip(grid, matrices.items(), strict=True):
        image = axes.imshow(matrix, vmin=low, vmax=high, cmap=MATRIX_COLOURS)
        lines = [label[i : i + CHARACTERS_A_LINE] for i in range(0, len(label), CHARACTERS_A_LINE)]
        axes.set_title("\n".join(lines), fontsize=TICK_SIZE)
    figure.colorbar(image, ax=grid, label=name.replace("_", " "), shrink=0.8)
    figure.supxlabel("towards class", fontsize=TEXT_SIZE)
    figure.supylabel("examples of class", fontsize=TEXT_SIZE)
    return png(figure)
