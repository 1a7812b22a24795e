"""Transfer matrices as pictures; a frame marks a white box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from orchestrator.report.figures.style import MATRIX_COLOURS, TICK_SIZE, TITLE_SIZE, panels, png
from orchestrator.report.table import eps_text
from orchestrator.report.words import metric_of
from orchestrator.summary import Matrix, Summary, transfer_matrices

MATRICES_A_ROW = 3
CELL_INCHES = 0.6
LABEL_INCHES = 0.075  # of a character
LEAST_WIDTH = 4.0  # inches


def transfer_heat_maps(summary: Summary) -> dict[str, bytes]:
    """Return one PNG for each attack, `transfer_<attack>.png`, with a panel for each eps.

    A study without a transfer matrix has none.
    """
    found = transfer_matrices(summary)
    names = dict.fromkeys(matrix.attack for matrix in found)
    return {f"transfer_{n}.png": _figure(summary, [m for m in found if m.attack == n]) for n in names}


def _figure(summary: Summary, matrices: Sequence[Matrix]) -> bytes:
    targets, sources = matrices[0].targets, matrices[0].sources
    beside, below = (LABEL_INCHES * max(map(len, labels)) for labels in (targets, sources))
    inches = (CELL_INCHES * len(sources) + 0.4, CELL_INCHES * len(targets) + below + 0.8)
    figure, grid = panels(
        len(matrices), inches=inches, margin=(beside + 1.5, 0.0), a_row=MATRICES_A_ROW, layout="compressed"
    )
    figure.set_figwidth(max(LEAST_WIDTH, figure.get_figwidth()))
    for axes, matrix in zip(grid, matrices, strict=True):
        image = _panel(axes, summary, matrix)
    figure.colorbar(image, ax=grid, label=f"{metric_of(summary)} (%)", shrink=0.8)
    return png(figure)


def _panel(axes: Axes, summary: Summary, matrix: Matrix) -> AxesImage:
    values = np.full((len(matrix.targets), len(matrix.sources)), np.nan)
    for i, target in enumerate(matrix.targets):
        for j, source in enumerate(matrix.sources):
            if (estimate := matrix.score(summary, target, source)) is not None:
                values[i, j] = 100 * estimate.mean
                colour = "w" if values[i, j] < 50 else "k"
                axes.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=TICK_SIZE)
                if (target, source) in matrix.white_boxes:
                    axes.add_patch(Rectangle((j - 0.4, i - 0.4), 0.8, 0.8, fill=False, edgecolor=colour))
    image = axes.imshow(values, vmin=0, vmax=100, cmap=MATRIX_COLOURS)
    axes.set_xticks(range(len(matrix.sources)), matrix.sources, rotation=90, fontsize=TICK_SIZE)
    axes.set_yticks(range(len(matrix.targets)), matrix.targets, fontsize=TICK_SIZE)
    axes.set_xlabel("crafted on (framed: itself)", fontsize=TICK_SIZE)
    axes.set_title(f"{matrix.attack}, eps {eps_text(matrix.eps)}", fontsize=TITLE_SIZE)
    return image
