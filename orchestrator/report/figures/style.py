"""How every figure looks: colours, markers, font sizes, the grid of panels, the legend, the PNG file."""

from __future__ import annotations

import io
import math
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by readers with any colour vision; black and yellow are left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
MATRIX_COLOURS = "cividis"
TITLE_SIZE, TEXT_SIZE, TICK_SIZE = 10, 9, 8  # in points
LEGEND: dict[str, Any] = {"loc": "outside lower center", "fontsize": TEXT_SIZE, "frameon": False}
PANELS_A_ROW = 4
DPI = 150


def point_style(number: int) -> dict[str, Any]:
    """Return the colour and the marker of the thing of this number; colours recur with other markers."""
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[(colour + turn) % len(MARKERS)]}


def line_style(number: int) -> dict[str, Any]:
    """Return the point style with dashes; colours recur with other dashes, too."""
    return point_style(number) | {"linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}


def panels(
    n: int,
    *,
    inches: tuple[float, float],
    margin: tuple[float, float] = (0.0, 0.0),
    a_row: int = PANELS_A_ROW,
    layout: Literal["constrained", "compressed"] = "constrained",
    sharex: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its n panels, which share their y axis.

    `inches` are the width and height of one panel, `margin` those that all panels together leave free.
    """
    columns = min(n, a_row)
    rows = math.ceil(n / columns)
    size = (inches[0] * columns + margin[0], inches[1] * rows + margin[1])
    figure = Figure(figsize=size, layout=layout)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=True)
    for axes in grid.flat[n:]:
        axes.remove()
    return figure, list(grid.flat[:n])


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
