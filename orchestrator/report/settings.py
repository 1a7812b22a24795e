"""The settings behind a table's numbers: those of trainings, attacks and measures, and the versions that made them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.planning.keys import flatten
from orchestrator.planning.plan import Plan, source_labels, source_of
from orchestrator.planning.rows import Variant
from orchestrator.planning.wording import as_text, assignments
from trainables.attacks.ascent import SteppedSpec
from trainables.attacks.spec import AttackSpec
from trainables.attacks.suite import SuiteSpec
from trainables.measures.spec import MeasureSpec

MEASURED = ("gpu_peak_mib",)


def common_settings(plan: Plan) -> dict[str, str]:
    """Return the settings that all of the plan's trainings share, including a dataset's digest."""
    specs = [_settings(plan, variant) for variant in plan.variants]
    return {key: value for key, value in specs[0].items() if all(s.get(key) == value for s in specs)}


def own_settings(plan: Plan, variant: Variant) -> dict[str, str]:
    """Return the settings of a variant that some other variant does not share."""
    common = common_settings(plan)
    return {key: value for key, value in _settings(plan, variant).items() if key not in common}


def attack_settings(attack: AttackSpec) -> dict[str, str]:
    """Return an attack's settings, but neither its eps, which columns show, nor defaults that all attacks share."""
    plain = {key for key in AttackSpec.model_fields if getattr(attack, key) == AttackSpec.model_fields[key].default}
    values = attack.model_dump(mode="json", exclude={"eps", *(plain - {"name", "norm"})}, exclude_none=True)
    if isinstance(attack, SuiteSpec):
        values["attacks"] = [assignments(attack_settings(member)) for member in attack.attacks]
    if isinstance(attack, SteppedSpec) and attack.step_size is None:
        values["relative_step"] = round(attack.step(1.0), 6)
    return {key: as_text(value) for key, value in values.items()}


def measure_settings(measure: MeasureSpec) -> dict[str, str]:
    """Return a measure's settings as dotted keys."""
    values = flatten(measure.model_dump(mode="json", exclude_none=True))
    return {key: as_text(value) for key, value in values.items()}


def crafted_on(plan: Plan, column: str) -> str | None:
    """Say on which model a transfer column's examples are crafted; None for other columns."""
    name = source_of(plan, column)
    if name is None:
        return None
    is_one = len(source_labels(plan, column)) == 1
    return f"variant {name}" if is_one else f"the variant with {name} that is most like each row"


def versions(provenance: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return each key's distinct values over records; more than one means mixed code or libraries.

    Keys that every record measures anew are left out.
    """
    seen: dict[str, set[str]] = {}
    for record in provenance:
        for key, value in flatten({k: v for k, v in record.items() if k not in MEASURED}).items():
            seen.setdefault(key, set()).add(value if isinstance(value, str) else json.dumps(value))
    return {key: sorted(values) for key, values in sorted(seen.items())}


def _settings(plan: Plan, variant: Variant) -> dict[str, str]:
    spec = plan.trainings[next(iter(variant.models.values()))]
    settings = flatten(spec.model_dump(mode="json", exclude={"seed"}))
    return {key: as_text(value) for key, value in settings.items() if value not in (None, "", [])}
