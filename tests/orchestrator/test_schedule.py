import json
import random

import pytest

from orchestrator.plan import Remainder, expand, remainder
from orchestrator.schedule import Schedule
from orchestrator.study import Study, Transfer
from trainables.specs import EvaluationSpec, TrainingSpec

STUDY = Study(
    name="s",
    title="S",
    base={"defense": "none"},
    space=({"network.width": (2, 4, 8)},),
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}, "pgd": {"name": "pgd", "eps": (0.1,)}},
    transfers={
        "from_2": Transfer(attack="pgd", source={"network.width": 2}),
        "from_8": Transfer(attack="pgd", source={"network.width": 8}),
    },
    seeds=(0, 1),
)


@pytest.fixture(scope="module")
def plan():
    return expand(STUDY)


@pytest.fixture
def rest(plan, store):
    return remainder(plan, store)


def drain(schedule):
    """Take all that can be taken now."""
    units = []
    while (unit := schedule.take()) is not None:
        units.append(unit)
    return units


def needed_by(spec: EvaluationSpec):
    return {spec.model, spec.source} - {None}


def simulate(rest, *, slots, failing=frozenset(), seed=0):
    """Run a schedule with `slots` workers that end in random order; return what was done and what was lost."""
    order, schedule = random.Random(seed), Schedule(rest, slots=slots)
    running, trained, handed_out, lost = [], set(rest.trained), [], []
    while True:
        while len(running) < slots and (unit := schedule.take()) is not None:
            assert all(needed_by(spec) <= trained for spec in unit.evaluations), (
                "handed out before its models were there"
            )
            assert unit.name == schedule.units[unit.name].name
            handed_out.append(unit)
            running.append(unit)
        if not running:
            assert schedule.exhausted, "nothing runs, nothing is ready, and the schedule waits"
            return handed_out, lost
        unit = running.pop(order.randrange(len(running)))
        ok = not (unit.training and unit.training.fingerprint in failing)
        if unit.training and ok:
            trained.add(unit.training.fingerprint)
        lost += schedule.finish(unit.name, ok=ok)


def specs_of(units):
    return [spec.fingerprint for unit in units for spec in unit.specs]


@pytest.mark.parametrize("slots", [1, 2, 5, 40])
def test_every_spec_is_handed_out_once_and_never_before_its_models(rest, slots):
    for seed in range(20):
        units, lost = simulate(rest, slots=slots, seed=seed)
        assert sorted(specs_of(units)) == sorted(rest.fingerprints)
        assert len({unit.name for unit in units}) == len(units)
        assert lost == []


@pytest.mark.parametrize("slots", [1, 3, 40])
def test_exactly_the_evaluations_of_failed_models_are_lost(plan, rest, slots):
    for seed in range(40):
        failing = set(random.Random(seed).sample(sorted(plan.trainings), k=seed % (len(plan.trainings) + 1)))
        units, lost = simulate(rest, slots=slots, failing=failing, seed=seed)
        expected = {f for f, spec in plan.evaluations.items() if needed_by(spec) & failing}
        assert sorted(spec.fingerprint for spec in lost) == sorted(expected)
        assert sorted(specs_of(units)) == sorted(rest.fingerprints - expected)


def test_the_rest_of_a_half_done_plan_is_handed_out_once(plan):
    for seed in range(20):
        done = random.Random(seed)
        trained, evaluated = (
            frozenset(f for f in specs if done.random() < 0.5) for specs in (plan.trainings, plan.evaluations)
        )
        rest = Remainder(
            tuple(spec for f, spec in plan.trainings.items() if f not in trained),
            tuple(spec for f, spec in plan.evaluations.items() if f not in evaluated),
            trained,
            evaluated,
        )
        units, lost = simulate(rest, slots=3, seed=seed)
        assert sorted(specs_of(units)) == sorted(rest.fingerprints)
        assert lost == []


def test_trainings_go_first(rest, plan):
    schedule = Schedule(rest, slots=2)
    assert [unit.training for unit in drain(schedule)] == list(plan.trainings.values())
    assert not schedule.exhausted


def test_evaluations_do_not_wait_for_trainings_that_they_do_not_need(plan, rest):
    schedule = Schedule(rest, slots=1)
    first, *others = drain(schedule)
    schedule.finish(first.name, ok=True)
    ready = drain(schedule)
    assert specs_of(ready)
    assert all(needed_by(spec) == {first.training.fingerprint} for unit in ready for spec in unit.evaluations)
    assert others


def test_a_failed_evaluation_loses_nothing_else(rest):
    schedule = Schedule(rest, slots=1)
    for unit in drain(schedule):
        schedule.finish(unit.name, ok=True)
    units = drain(schedule)
    assert schedule.exhausted
    assert [schedule.finish(unit.name, ok=False) for unit in units] == [[]] * len(units)


def test_an_empty_remainder_is_exhausted_at_once(plan, store, save):
    for spec in (*plan.trainings.values(), *plan.evaluations.values()):
        save(spec)
    schedule = Schedule(remainder(plan, store), slots=2)
    assert schedule.units == {}
    assert schedule.take() is None
    assert schedule.exhausted


def test_trained_models_are_evaluated_at_once(plan, store, save):
    for spec in plan.trainings.values():
        save(spec)
    units = drain(Schedule(remainder(plan, store), slots=1))
    assert sorted(specs_of(units)) == sorted(plan.evaluations)


def evaluation_units(rest, slots):
    return [unit for unit in Schedule(rest, slots=slots).units.values() if unit.evaluations]


@pytest.mark.parametrize("slots", [1, 100])
def test_all_targets_of_one_crafting_are_one_unit_however_many_slots_there_are(plan, rest, slots):
    transfers = [unit for unit in evaluation_units(rest, slots) if unit.evaluations[0].source]
    craftings = [{spec.crafting_fingerprint for spec in unit.evaluations} for unit in transfers]
    assert all(len(crafting) == 1 for crafting in craftings)
    assert len(set().union(*craftings)) == len(transfers) == 2 * len(plan.seeds)
    assert all(len(unit.evaluations) == len(plan.variants) for unit in transfers)


def test_a_model_s_own_evaluations_are_one_unit_where_that_fills_the_slots(plan, rest):
    own = [unit for unit in evaluation_units(rest, 2) if not unit.evaluations[0].source]
    assert sorted(unit.evaluations[0].model for unit in own) == sorted(plan.trainings)
    assert all(len(unit.evaluations) == 3 for unit in own)


def test_few_models_are_split_over_many_slots(plan, rest):
    own = [unit for unit in evaluation_units(rest, 100) if not unit.evaluations[0].source]
    assert len(own) == 3 * len(plan.trainings)


def test_a_unit_s_config_is_json_that_gives_its_specs_back(rest):
    for unit in Schedule(rest, slots=2).units.values():
        config = json.loads(json.dumps(unit.config()))
        assert config["unit"] == unit.name
        if unit.training:
            assert TrainingSpec.model_validate_json(config["spec"]) == unit.training
        else:
            found = tuple(EvaluationSpec.model_validate_json(text) for text in config["evaluations"])
            assert found == unit.evaluations
