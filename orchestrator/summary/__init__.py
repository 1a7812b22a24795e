"""A study's numbers: records become a Summary of counts and estimates; a report words and draws them."""

from __future__ import annotations

from orchestrator.summary.aggregate import Cell, Column, Measurement, Summary, Tally, columns_of, summarise
from orchestrator.summary.area import area_of, curves
from orchestrator.summary.costs import COST_COLUMNS, Cost, CostColumn, Costs, training_costs
from orchestrator.summary.effects import CONFIDENCE, Effect, Interval, factor_effects, interval
from orchestrator.summary.estimate import Estimate, estimated, labels_of_best
from orchestrator.summary.matrices import Matrix, transfer_matrices
from orchestrator.summary.verdict import CHECKS, Check, Verdict, verdicts

__all__ = [
    "CHECKS",
    "CONFIDENCE",
    "COST_COLUMNS",
    "Cell",
    "Check",
    "Column",
    "Cost",
    "CostColumn",
    "Costs",
    "Effect",
    "Estimate",
    "Interval",
    "Matrix",
    "Measurement",
    "Summary",
    "Tally",
    "Verdict",
    "area_of",
    "columns_of",
    "curves",
    "estimated",
    "factor_effects",
    "interval",
    "labels_of_best",
    "summarise",
    "training_costs",
    "transfer_matrices",
    "verdicts",
]
