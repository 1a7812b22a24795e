import json
import random

import pytest

from orchestrator.planning.plan import expand
from orchestrator.sweeping.remainder import Remainder, remainder
from orchestrator.sweeping.schedule import Schedule
from search_spaces.study import Study, Transfer
from trainables.specs import EvaluationSpec
from trainables.units import Probe, config_of, name_in, work_in

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
        lost += schedule.finish(unit.name, error=None if ok else "no")


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
    schedule.finish(first.name)
    ready = drain(schedule)
    assert specs_of(ready)
    assert all(needed_by(spec) == {first.training.fingerprint} for unit in ready for spec in unit.evaluations)
    assert others


def test_a_failed_evaluation_loses_nothing_else(rest):
    schedule = Schedule(rest, slots=1)
    for unit in drain(schedule):
        schedule.finish(unit.name)
    units = drain(schedule)
    assert schedule.exhausted
    assert [schedule.finish(unit.name, error="no") for unit in units] == [[]] * len(units)


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
        config = json.loads(json.dumps(config_of(unit.name, unit.work)))
        assert name_in(config) == unit.name
        assert work_in(config) == unit.work


def test_work_that_is_added_on_the_way_is_handed_out_once_whatever_is_under_way(plan, store):
    """Each part is added when something has been done; parts overlap in models and evaluations."""
    evaluations = list(plan.evaluations.values())
    for seed in range(20):
        order = random.Random(seed)
        parts = [order.sample(evaluations, 8) for _ in range(4)]
        schedule = Schedule(remainder_of(plan, [], set(), set()), slots=2)
        trained, evaluated, running, handed_out = set(), set(), [], []
        while parts or running or not schedule.exhausted:
            if parts and (not running or order.random() < 0.5):
                schedule.add(remainder_of(plan, parts.pop(), trained, evaluated))
            while len(running) < 2 and (unit := schedule.take()) is not None:
                assert all(needed_by(spec) <= trained for spec in unit.evaluations)
                running.append(unit)
                handed_out.append(unit)
            if running:
                unit = running.pop(order.randrange(len(running)))
                (trained if unit.training else evaluated).update(spec.fingerprint for spec in unit.specs)
                schedule.finish(unit.name)
        done = specs_of(handed_out)
        assert len(done) == len(set(done))
        assert set(done) == trained | evaluated
        assert len({unit.name for unit in handed_out}) == len(handed_out)


def remainder_of(plan, evaluations, trained, evaluated):
    """Return what is left of some evaluations and the models that they need."""
    needed = {model for spec in evaluations for model in needed_by(spec)}
    return Remainder(
        tuple(plan.trainings[model] for model in sorted(needed - trained)),
        tuple(spec for spec in evaluations if spec.fingerprint not in evaluated),
        frozenset(needed & trained),
        frozenset(spec.fingerprint for spec in evaluations) & evaluated,
    )


def test_a_model_that_failed_is_tried_again_when_it_is_added_again(plan):
    (spec,) = [s for s in plan.trainings.values() if s.network.width == 2 and s.seed == 0]
    rest = Remainder((spec,), (), frozenset(), frozenset())
    schedule = Schedule(rest, slots=1)
    schedule.finish(schedule.take().name, error="no")
    assert schedule.exhausted
    assert [unit.training for unit in schedule.add(rest)] == [spec]
    assert schedule.take().training == spec


def test_a_probe_goes_with_the_trainings_it_is_added_with(plan):
    (first, second, *_), (evaluation, *_) = plan.trainings.values(), plan.evaluations.values()
    schedule = Schedule(Remainder((first,), (), frozenset(), frozenset()), slots=1)
    schedule.add(Remainder((second,), (), frozenset(), frozenset()), probe=Probe(evaluation=evaluation, epochs=(1, 2)))
    plain, probed = (work_in(config_of(unit.name, unit.work)) for unit in drain(schedule))
    assert plain.probe is None
    assert probed.probe == Probe(evaluation=evaluation, epochs=(1, 2))


# --- beside other drivers


class Ledger:
    """What the drivers of a test tell each other."""

    def __init__(self):
        self.claimed, self.finished = {}, set()

    def of(self, name):
        return Seat(self, name)


class Seat:
    """One driver's side of it."""

    def __init__(self, ledger, name):
        self.ledger, self.name = ledger, name

    def done(self, fingerprints):
        return self.ledger.finished.intersection(fingerprints)

    def take(self, fingerprints):
        if any(self.ledger.claimed.get(f, self.name) != self.name for f in fingerprints):
            return False
        self.ledger.claimed |= dict.fromkeys(fingerprints, self.name)
        return True

    def release(self, fingerprints):
        for fingerprint in fingerprints:
            self.ledger.claimed.pop(fingerprint, None)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_two_drivers_share_a_plan_and_run_nothing_twice(rest, slots, monkeypatch):
    monkeypatch.setattr("orchestrator.sweeping.schedule.LOOK_AGAIN_SECONDS", 0.0)
    for seed in range(20):
        order, ledger = random.Random(seed), Ledger()
        elsewhere = {0: [], 1: []}
        drivers = [
            Schedule(rest, slots=slots + 3 * n, peers=ledger.of(n), on_done_elsewhere=elsewhere[n].append)
            for n in (0, 1)
        ]
        running, handed_out = [], []
        while not all(driver.exhausted for driver in drivers) or running:
            n = order.randrange(2)
            if len(running) < 2 * slots and (unit := drivers[n].take()) is not None:
                handed_out.append(unit)
                running.append((n, unit))
            elif running:
                n, unit = running.pop(order.randrange(len(running)))
                ledger.finished |= {spec.fingerprint for spec in unit.specs}
                drivers[n].finish(unit.name)
        assert sorted(specs_of(handed_out)) == sorted(rest.fingerprints)
        assert elsewhere[0]
        assert elsewhere[1]


def test_a_driver_goes_on_with_what_a_dead_one_had_under_way(rest, monkeypatch):
    monkeypatch.setattr("orchestrator.sweeping.schedule.LOOK_AGAIN_SECONDS", 0.0)
    ledger = Ledger()
    dead, living = (Schedule(rest, slots=2, peers=ledger.of(n)) for n in (0, 1))
    lost = dead.take()
    first = drain(living)
    assert lost.training not in [unit.training for unit in first]
    assert not living.exhausted
    ledger.claimed = {f: name for f, name in ledger.claimed.items() if name != 0}
    assert living.take().training == lost.training
