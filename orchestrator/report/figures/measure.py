"""What a measure found as a matrix over pairs of classes, as a picture (afd, Figure 3)."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from orchestrator.summary.aggregate import Summary

PANELS_A_ROW = 4
PANEL_INCHES = 2.6
CHARACTERS_A_LINE = 32
DPI = 150


def measure_maps(summary: Summary) -> dict[str, bytes]:
    """Return a PNG a matrix, `<measure>_<name>.png`, with a panel a variant; none where no matrix was measured."""
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
    """Return by variant the mean over its seeds."""
    found = {label: summary.measurements[label, measure].records.values() for label in summary.labels}
    matrices = {label: [r.values[name] for r in records if name in r.values] for label, records in found.items()}
    return {label: np.mean(each, axis=0) for label, each in matrices.items() if each}


def _figure(matrices: Mapping[str, np.ndarray], name: str) -> bytes:
    columns = min(len(matrices), PANELS_A_ROW)
    rows = math.ceil(len(matrices) / columns)
    figure = Figure(figsize=(PANEL_INCHES * columns + 1.0, PANEL_INCHES * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    finite = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices.values()])
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    for axes, (label, matrix) in zip(grid.flat, matrices.items(), strict=False):
        image = axes.imshow(matrix, vmin=low, vmax=high, cmap="cividis")
        axes.set_title(
            "\n".join(label[i : i + CHARACTERS_A_LINE] for i in range(0, len(label), CHARACTERS_A_LINE)), fontsize=8
        )
    for axes in grid.flat[len(matrices) :]:
        axes.remove()
    figure.colorbar(image, ax=grid.ravel().tolist(), label=name.replace("_", " "), shrink=0.8)
    figure.supxlabel("towards class", fontsize=9)
    figure.supylabel("examples of class", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
