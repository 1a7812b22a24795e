"""TODO: one line."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by readers with any colour vision; black and yellow are left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
PANELS_A_ROW = 4
DPI = 150


def _style(number: int) -> dict[str, Any]:
    """Return how a variant is drawn; colours come again with other markers and dashes."""
    turn, colour = divmod(number, len(COLOURS))
    return {
        "color": COLOURS[colour],
        "marker": MARKERS[(colour + turn) % len(MARKERS)],
        "linestyle": DASHES[turn % len(DASHES)],
    }


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
