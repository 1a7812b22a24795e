"""The words and file names of a report that depend on the judge's name for a score."""

from __future__ import annotations

from orchestrator.summary import Summary


def metric_of(summary: Summary) -> str:
    """Return what a score is called, such as "accuracy"."""
    return summary.metric


def accuracy_figure_names(summary: Summary) -> tuple[str, str]:
    """Return the file names of the figures against eps and against the clean value."""
    metric = metric_of(summary).replace(" ", "_")
    return f"{metric}_against_eps.png", f"robustness_against_{metric}.png"
