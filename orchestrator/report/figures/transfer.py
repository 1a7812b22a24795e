"""Transfer matrices as a picture; a frame is around the white box."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from orchestrator.report.table import eps_text
from orchestrator.summary.aggregate import Summary
from orchestrator.summary.matrices import Matrix, matrices

PANELS_A_ROW = 3
CELL_INCHES = 0.6
LABEL_INCHES = 0.075  # of a character
DPI = 150


def transfer_heat_maps(summary: Summary) -> dict[str, bytes]:
    """Return a PNG an attack, `transfer_<attack>.png`, with a panel an eps; none for a study without a matrix."""
    found = matrices(summary)
    names = dict.fromkeys(matrix.attack for matrix in found)
    return {f"transfer_{n}.png": _figure(summary, [m for m in found if m.attack == n]) for n in names}


def _figure(summary: Summary, panels: Sequence[Matrix]) -> bytes:
    columns = min(len(panels), PANELS_A_ROW)
    rows = math.ceil(len(panels) / columns)
    beside, below = (LABEL_INCHES * max(map(len, labels)) for labels in (panels[0].targets, panels[0].sources))
    width = CELL_INCHES * len(panels[0].sources) + 0.4
    height = CELL_INCHES * len(panels[0].targets) + below + 0.8
    size = (max(4.0, columns * width + beside + 1.5), rows * height)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, matrix in zip(grid.flat, panels, strict=False):
        image = _panel(axes, summary, matrix)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    figure.colorbar(image, ax=grid.ravel().tolist(), label="accuracy (%)", shrink=0.8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _panel(axes: Axes, summary: Summary, matrix: Matrix) -> AxesImage:
    values = np.full((len(matrix.targets), len(matrix.sources)), np.nan)
    for i, target in enumerate(matrix.targets):
        for j, source in enumerate(matrix.sources):
            if (estimate := matrix.accuracy(summary, target, source)) is not None:
                values[i, j] = 100 * estimate.mean
                colour = "w" if values[i, j] < 50 else "k"
                axes.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=8)
                if (target, source) in matrix.white_boxes:
                    axes.add_patch(Rectangle((j - 0.4, i - 0.4), 0.8, 0.8, fill=False, edgecolor=colour))
    image = axes.imshow(values, vmin=0, vmax=100, cmap="cividis")
    axes.set_xticks(range(len(matrix.sources)), matrix.sources, rotation=90, fontsize=8)
    axes.set_yticks(range(len(matrix.targets)), matrix.targets, fontsize=8)
    axes.set_xlabel("crafted on (framed: itself)", fontsize=8)
    axes.set_title(f"{matrix.attack}, eps {eps_text(matrix.eps)}", fontsize=10)
    return image
