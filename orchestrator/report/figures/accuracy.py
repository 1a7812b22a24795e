"""A report's figures as PNG: accuracy against eps, and robustness against clean accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.report.figures.style import PANELS_A_ROW, _style, png
from orchestrator.report.table import eps_text
from orchestrator.summary.aggregate import Column, Summary
from search_spaces.study import CLEAN

PANEL_INCHES = 3.0
LEGEND_ROW_INCHES = 0.2
CHARACTERS_AN_INCH = 13  # of the legend's font
LABEL_SHARE = 0.15  # of a panel's width, which a label of the eps axis needs


def accuracy_against_eps(summary: Summary) -> bytes:
    """Return a panel an attack, worst cases last; a band is the standard error, eps 0 the clean accuracy."""
    names = (*summary.attack_names, *dict.fromkeys(column.name for column in summary.worst_cases))
    columns = min(len(names), PANELS_A_ROW)
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(PANEL_INCHES * columns + 0.5, PANEL_INCHES * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy (%)")
    for axes, name in zip(grid.flat, names, strict=False):
        _panel(axes, summary, name)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    _legend(figure, summary)
    return png(figure)


def robustness_against_accuracy(summary: Summary) -> bytes:
    """Return clean accuracy against the worst case at the eps that tells the variants apart most."""
    column = most_telling(summary)
    figure = Figure(figsize=(6.5, 4.3), layout="constrained")
    axes = figure.subplots()
    for number, label in enumerate(summary.labels):
        clean, robust = summary.accuracy(label, *summary.named(CLEAN)), summary.accuracy(label, column)
        if clean and robust:
            style = _style(number) | {"linestyle": "none", "markersize": 8, "capsize": 3}
            style |= {"xerr": 100 * (clean.stderr or 0), "yerr": 100 * (robust.stderr or 0)}
            axes.errorbar(100 * clean.mean, 100 * robust.mean, **style)
    eps = eps_text(column.eps)
    axes.set_xlabel("clean accuracy (%)")
    axes.set_ylabel(f"accuracy (%), {column.name} at eps {eps}")
    axes.set_title(f"Better is up and right; eps {eps} tells the variants apart most", fontsize=10)
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    _legend(figure, summary)
    return png(figure)


def most_telling(summary: Summary) -> Column:
    """Return the worst case whose means are spread the most; of several, the first."""
    return max(summary.worst_cases, key=lambda column: _range(summary, column))


def _range(summary: Summary, column: Column) -> float:
    estimates = [summary.accuracy(label, column) for label in summary.labels]
    means = [estimate.mean for estimate in estimates if estimate]
    return max(means) - min(means) if means else -1.0


def _panel(axes: Axes, summary: Summary, name: str) -> None:
    columns = (*summary.named(CLEAN), *summary.named(name))
    eps = [column.eps for column in columns]
    for number, label in enumerate(summary.labels):
        estimates = [summary.accuracy(label, column) for column in columns]
        means = [100 * estimate.mean if estimate else math.nan for estimate in estimates]
        spread = [100 * (e.stderr or 0) if e else math.nan for e in estimates]
        style = _style(number)
        axes.plot(eps, means, **style, markersize=4, linewidth=1.5)
        low, high = zip(*((m - s, m + s) for m, s in zip(means, spread, strict=True)), strict=True)
        axes.fill_between(eps, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set_title(name, fontsize=10)
    axes.set_xticks(ticks := spaced(eps), [eps_text(e) for e in ticks], fontsize=8)
    axes.set_xlabel("eps, on the [0, 1] image scale")
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.3)


def spaced(eps: Sequence[float]) -> list[float]:
    """Leave out the eps whose labels would touch the one before."""
    kept: list[float] = []
    for e in eps:
        if not kept or e - kept[-1] >= LABEL_SHARE * max(eps):
            kept.append(e)
    return kept


def _legend(figure: Figure, summary: Summary) -> None:
    handles = [Line2D([], [], label=label, **_style(i)) for i, label in enumerate(summary.labels)]
    inches = (max(map(len, summary.labels)) + 6) / CHARACTERS_AN_INCH
    columns = max(1, min(len(handles), int(figure.get_figwidth() / inches)))
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW_INCHES * math.ceil(len(handles) / columns))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
