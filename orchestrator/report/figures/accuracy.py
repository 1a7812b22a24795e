"""Figures of scores under attack, by the judge's name for a score: against eps, and robust against clean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.report.figures.style import LEGEND, PANELS_A_ROW, TICK_SIZE, TITLE_SIZE, line_style, panels, png
from orchestrator.report.table import eps_text
from orchestrator.report.words import accuracy_figure_names, metric_of
from orchestrator.summary import Column, Summary
from search_spaces.study import CLEAN

PANEL_INCHES = 3.0
LEGEND_ROW_INCHES = 0.2
CHARACTERS_AN_INCH = 13  # of the legend's font
LABEL_SHARE = 0.15  # of a panel's width, which a label of the eps axis needs


def accuracy_figures(summary: Summary) -> dict[str, bytes]:
    """Return both figures by file name; none for a study without an attack."""
    if not summary.worst_cases:
        return {}
    against_eps, against_clean = accuracy_figure_names(summary)
    return {against_eps: accuracy_against_eps(summary), against_clean: robustness_against_accuracy(summary)}


def accuracy_against_eps(summary: Summary) -> bytes:
    """Return one panel for each attack, worst cases last.

    A band is the standard error; the value at eps 0 is the clean one.
    """
    names = (*summary.attack_names, *dict.fromkeys(column.name for column in summary.worst_cases))
    figure, grid = panels(len(names), inches=(PANEL_INCHES, PANEL_INCHES), margin=(0.5, 0.0))
    for axes, name in zip(grid, names, strict=True):
        _panel(axes, summary, name)
    for first in grid[::PANELS_A_ROW]:
        first.set_ylabel(f"{metric_of(summary)} (%)")
    _legend(figure, summary)
    return png(figure)


def robustness_against_accuracy(summary: Summary) -> bytes:
    """Return the clean value against the worst case at the eps where the variants differ most."""
    column = most_telling(summary)
    figure = Figure(figsize=(6.5, 4.3), layout="constrained")
    axes = figure.subplots()
    for number, label in enumerate(summary.labels):
        clean, robust = summary.score(label, *summary.named(CLEAN)), summary.score(label, column)
        if clean and robust:
            style = line_style(number) | {"linestyle": "none", "markersize": 8, "capsize": 3}
            style |= {"xerr": 100 * (clean.stderr or 0), "yerr": 100 * (robust.stderr or 0)}
            axes.errorbar(100 * clean.mean, 100 * robust.mean, **style)
    eps, metric = eps_text(column.eps), metric_of(summary)
    axes.set_xlabel(f"clean {metric} (%)")
    axes.set_ylabel(f"{metric} (%), {column.name} at eps {eps}")
    axes.set_title(f"Up and right is better; the variants differ most at eps {eps}", fontsize=TITLE_SIZE)
    axes.margins(0.15)
    axes.grid(alpha=0.3)
    _legend(figure, summary)
    return png(figure)


def most_telling(summary: Summary) -> Column:
    """Return the worst case whose means spread the most; the first of several that tie."""
    return max(summary.worst_cases, key=lambda column: _range(summary, column))


def _range(summary: Summary, column: Column) -> float:
    estimates = [summary.score(label, column) for label in summary.labels]
    means = [estimate.mean for estimate in estimates if estimate]
    return max(means) - min(means) if means else -1.0


def _panel(axes: Axes, summary: Summary, name: str) -> None:
    columns = (*summary.named(CLEAN), *summary.named(name))
    eps = [column.eps for column in columns]
    for number, label in enumerate(summary.labels):
        estimates = [summary.score(label, column) for column in columns]
        means = [100 * estimate.mean if estimate else math.nan for estimate in estimates]
        spread = [100 * (e.stderr or 0) if e else math.nan for e in estimates]
        style = line_style(number)
        axes.plot(eps, means, **style, markersize=4, linewidth=1.5)
        low, high = zip(*((m - s, m + s) for m, s in zip(means, spread, strict=True)), strict=True)
        axes.fill_between(eps, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set_title(name, fontsize=TITLE_SIZE)
    axes.set_xticks(ticks := spaced(eps), [eps_text(e) for e in ticks], fontsize=TICK_SIZE)
    axes.set_xlabel("eps, on the [0, 1] image scale")
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.3)


def spaced(eps: Sequence[float]) -> list[float]:
    """Return the eps that get a label: an eps whose label would touch the one before is left out."""
    kept: list[float] = []
    for e in eps:
        if not kept or e - kept[-1] >= LABEL_SHARE * max(eps):
            kept.append(e)
    return kept


def _legend(figure: Figure, summary: Summary) -> None:
    handles = [Line2D([], [], label=label, **line_style(i)) for i, label in enumerate(summary.labels)]
    inches = (max(map(len, summary.labels)) + 6) / CHARACTERS_AN_INCH
    columns = max(1, min(len(handles), int(figure.get_figwidth() / inches)))
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW_INCHES * math.ceil(len(handles) / columns))
    figure.legend(handles=handles, ncols=columns, **LEGEND)
