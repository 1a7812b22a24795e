"""Every study's plan is the one that is on record: no change of code alters a fingerprint or a table unnoticed.

After a deliberate change: python -m tests.search_spaces.test_plans
"""

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.planning.plan import expand
from search_spaces import STUDIES
from search_spaces.study import SCALES

RECORD = Path(__file__).with_name("plans.json")
CASES = [(study, scale) for study in STUDIES for scale in SCALES]


def digest_of(plan):
    """Hash what a plan would train and evaluate, and the cells that it fills, in whatever order it names them."""
    content = {
        "trainings": {name: spec.model_dump(mode="json") for name, spec in plan.trainings.items()},
        "evaluations": {name: spec.model_dump(mode="json") for name, spec in plan.evaluations.items()},
        "layout": {json.dumps(cell): evaluation for cell, evaluation in plan.layout.items()},
        "sources": {json.dumps(cell): row for cell, row in plan.sources.items()},
        "baselines": dict(plan.baselines),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize(("study", "scale"), CASES)
def test_a_study_has_the_plan_that_is_on_record(study, scale):
    known = json.loads(RECORD.read_text()).get(f"{study} {scale}")
    assert digest_of(expand(STUDIES[study], scale=scale)) == known, (
        f"the plan of {study} at scale {scale} is not the one on record: its specs, fingerprints or cells have "
        "changed, so that a store may not answer it any more. "
        "If the change is deliberate: python -m tests.search_spaces.test_plans"
    )


def test_the_record_has_no_study_that_is_gone():
    assert set(json.loads(RECORD.read_text())) == {f"{study} {scale}" for study, scale in CASES}


if __name__ == "__main__":
    found = {f"{study} {scale}": digest_of(expand(STUDIES[study], scale=scale)) for study, scale in CASES}
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
