from dataclasses import replace

import pytest

from orchestrator.planning.plan import expand
from orchestrator.sweeping.remainder import remainder


def test_the_remainder_is_what_the_store_lacks(small_plan, store, save):
    everything = remainder(small_plan, store)
    assert everything.trainings == tuple(small_plan.trainings.values())
    assert everything.evaluations == tuple(small_plan.evaluations.values())
    assert not everything.trained | everything.evaluated

    trained, evaluated = list(small_plan.trainings.values())[::2], list(small_plan.evaluations.values())[::3]
    for spec in (*trained, *evaluated):
        save(spec)
    rest = remainder(small_plan, store)
    assert rest.trained == {spec.fingerprint for spec in trained}
    assert rest.evaluated == {spec.fingerprint for spec in evaluated}
    wanted = {*small_plan.trainings, *small_plan.evaluations}
    assert rest.fingerprints == wanted - rest.trained - rest.evaluated
    assert not rest.is_empty

    for spec in (*rest.trainings, *rest.evaluations):
        save(spec)
    assert remainder(small_plan, store).is_empty


def test_entries_of_other_plans_do_not_count(small_study, small_plan, store, save):
    other = expand(small_study, overrides={"epochs": 7})
    for spec in (*other.trainings.values(), *other.evaluations.values()):
        save(spec)
    rest = remainder(small_plan, store)
    assert len(rest.trainings) == len(small_plan.trainings)
    assert not rest.trained | rest.evaluated


@pytest.mark.parametrize("kind", ["trainings", "evaluations"])
def test_a_remainder_with_either_left_is_not_empty(kind, small_plan, store):
    rest = remainder(small_plan, store)
    assert not replace(rest, **{kind: ()}).is_empty
