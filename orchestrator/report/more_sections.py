"""The sections of a report beside its accuracies, in the order in which every format shows them."""

from __future__ import annotations

from orchestrator.report.aggregate import Summary
from orchestrator.report.area_table import area_sections
from orchestrator.report.cost_table import cost_sections
from orchestrator.report.effect_table import effect_sections
from orchestrator.report.measure_table import measure_sections
from orchestrator.report.printed import printed_sections
from orchestrator.report.tables import Section
from orchestrator.report.transfer_matrix import matrix_sections
from orchestrator.report.verdict_table import verdict_sections


def own_sections(summary: Summary) -> tuple[Section, ...]:
    """Return what a study's records tell beside accuracy under each attack; empty for a plain study."""
    return (
        *verdict_sections(summary),
        *area_sections(summary),
        *matrix_sections(summary),
        *effect_sections(summary),
        *measure_sections(summary),
        *cost_sections(summary),
    )


def more_sections(summary: Summary) -> tuple[Section, ...]:
    """Return these and what the paper prints, which is long for a terminal."""
    return (*own_sections(summary), *printed_sections(summary.plan.study))
