"""The sections of a report beside its accuracies, in the order in which every format shows them."""

from __future__ import annotations

from orchestrator.report.sections.area import area_sections
from orchestrator.report.sections.cost import cost_sections
from orchestrator.report.sections.effect import effect_sections
from orchestrator.report.sections.measure import measure_sections
from orchestrator.report.sections.paper import printed_sections
from orchestrator.report.sections.transfer import matrix_sections
from orchestrator.report.sections.verdict import verdict_sections
from orchestrator.report.table import Section
from orchestrator.summary.aggregate import Summary


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
