"""A report's figures as PNG images. They import matplotlib, which is slow: import this package where you draw."""

from __future__ import annotations

from orchestrator.report.figures.order import FIGURES, figures_of
from orchestrator.report.figures.search import importance_bars, pareto_front, values_by_trial

__all__ = ["FIGURES", "figures_of", "importance_bars", "pareto_front", "values_by_trial"]
