"""Figures of a search: the front of two objectives, the values trial by trial, the importance of the keys."""

from __future__ import annotations

import itertools

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.planning.keys import DEFENSE
from orchestrator.report.figures.style import COLOURS, LEGEND, TICK_SIZE, TITLE_SIZE, png, point_style
from orchestrator.searching.history import History, SearchTrial

BAR_INCHES = 0.28
KEYS = 12  # that are shown, the most important ones
REACHED = "#333333"  # the line of the best values


def pareto_front(history: History) -> bytes:
    """Return the first two objectives against each other; the line joins what the best trials reach."""
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, trials) in enumerate(_by_defense(history).items()):
        x, y = ([100 * trial.values[i] for trial in trials] for i in (0, 1))
        axes.scatter(x, y, label=name, s=36, **point_style(number))
    best = sorted(history.best, key=lambda trial: trial.values)
    reached = ([100 * trial.values[i] for trial in best] for i in (0, 1))
    axes.step(*reached, where="pre", color=REACHED, linewidth=1, zorder=0)
    for trial in best:
        at = (100 * trial.values[0], 100 * trial.values[1])
        axes.annotate(str(trial.number), at, xytext=(4, 4), textcoords="offset points", fontsize=TICK_SIZE)
    axes.set_xlabel(f"{history.objectives[0]} (%)")
    axes.set_ylabel(f"{history.objectives[1]} (%)")
    axes.set_title("Up and right is better; on validation examples", fontsize=TITLE_SIZE)
    _finish(figure, axes)
    return png(figure)


def values_by_trial(history: History) -> bytes:
    """Return one panel for each objective: every trial's value, and the best so far as a line."""
    rows = len(history.objectives)
    figure = Figure(figsize=(7, 1 + 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for objective, axes in enumerate(panels):
        for number, (name, trials) in enumerate(_by_defense(history).items()):
            x, y = [trial.number for trial in trials], [100 * trial.values[objective] for trial in trials]
            axes.scatter(x, y, label=name, s=24, **point_style(number))
        values = [100 * trial.values[objective] for trial in history.complete]
        best = list(itertools.accumulate(values, max))
        axes.step([trial.number for trial in history.complete], best, where="post", color=REACHED, linewidth=1)
        axes.set_title(f"{history.objectives[objective]} (%); the line is the best so far", fontsize=TITLE_SIZE)
        axes.grid(alpha=0.3)
    _mark_pruned(panels[0], history)
    panels[-1].set_xlabel("trial")
    _finish(figure, panels[0])
    return png(figure)


def importance_bars(history: History) -> bytes:
    """Return the most important keys, with a bar for each objective."""
    shares = history.importance
    keys = dict.fromkeys(key for name in history.objectives for key in shares[name])
    ranked = sorted(keys, key=lambda key: sum(s.get(key, 0) for s in shares.values()), reverse=True)[:KEYS]
    figure = Figure(figsize=(7, 1.2 + BAR_INCHES * len(ranked) * len(shares)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(shares)
    for number, (name, colour) in enumerate(zip(history.objectives, itertools.cycle(COLOURS), strict=False)):
        places = [row + number * height for row in range(len(ranked))]
        axes.barh(places, [100 * shares[name].get(key, 0) for key in ranked], height, color=colour, label=name)
    axes.set_yticks([row + (len(shares) - 1) * height / 2 for row in range(len(ranked))], ranked, fontsize=TICK_SIZE)
    axes.invert_yaxis()
    axes.set_xlabel("importance (%)")
    _finish(figure, axes)
    return png(figure)


def _mark_pruned(axes: Axes, history: History) -> None:
    """Draw the value that each pruned trial measured last, of the objective that pruning goes by."""
    pruned = [trial for trial in history.trials if trial.state == "pruned" and trial.probed and trial.same_as is None]
    if pruned:
        last = [100 * trial.probed[max(trial.probed)] for trial in pruned]
        axes.scatter([t.number for t in pruned], last, color="#999999", marker="x", s=24, label="pruned")


def _by_defense(history: History) -> dict[str, list[SearchTrial]]:
    found: dict[str, list[SearchTrial]] = {}
    for trial in history.complete:
        name = trial.settings.get(DEFENSE, history.study.base.get(DEFENSE, "none"))
        found.setdefault(str(name), []).append(trial)
    return dict(sorted(found.items()))


def _finish(figure: Figure, axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.margins(0.08)
    figure.legend(*axes.get_legend_handles_labels(), ncols=4, **LEGEND)
