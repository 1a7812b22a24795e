"""What becomes of a result, without Ray."""

from dataclasses import replace

import pytest

from orchestrator.sweeping import watch as watching
from orchestrator.sweeping.remainder import remainder
from orchestrator.sweeping.schedule import Schedule
from orchestrator.sweeping.watch import NODE_RETRIES, Watch
from trainables.runtime.failures import Failure
from trainables.units import StepResult


class Told:
    """A listener that writes down whom it was told of."""

    def __init__(self):
        self.events = []

    def __getattr__(self, event):
        return lambda unit, *_: self.events.append((event, unit.name))


class Threshold:
    """Gives up what is below a half, and takes its evaluations out of the schedule."""

    def __init__(self, schedule):
        self.schedule, self.asked = schedule, []

    def gives_up(self, name, *, epoch, value):
        self.asked.append((name, epoch, value))
        if value < 0.5:
            self.schedule.finish(name, error="given up")
        return value < 0.5


@pytest.fixture
def schedule(small_plan, store):
    return Schedule(remainder(small_plan, store), slots=1)


@pytest.fixture
def training(schedule):
    return schedule.take()


def need(evaluation):
    return evaluation.model, evaluation.crafted_on


def result_of(epoch, probed, *, done=False):
    return StepResult({"epoch": epoch}, probed=probed, is_done=done)


def test_a_training_that_is_given_up_ends_with_the_evaluations_that_need_it_and_does_not_fail(
    schedule, training, store
):
    told, pruner = Told(), Threshold(schedule)
    watch = Watch(schedule, store, [told], pruner=pruner)
    model = training.name
    lost = {u.name for u in schedule.units.values() if u.needs and all(model in need(e) for e in u.evaluations)}
    watch.on_start(training.name)
    answers = [watch.stops(training.name, result_of(*given)) for given in ((1, 0.9), (2, None), (3, 0.2))]
    assert answers == [False, False, True]
    assert pruner.asked == [(training.name, 1, 0.9), (training.name, 3, 0.2)]
    watch.on_result(training.name, result_of(3, 0.2, done=True))  # as Tune does with what was stopped
    assert {name for event, name in told.events if event == "given_up"} == lost | {training.name}
    assert ("finished", training.name) not in told.events
    assert not watch.running
    assert not watch.result.failures
    assert watch.result.done == 0
    assert store.fingerprints("failures") == set()


def test_without_a_pruner_nothing_is_given_up(schedule, training, store):
    told = Told()
    watch = Watch(schedule, store, [told])
    assert not watch.stops(training.name, result_of(1, 0.0))
    watch.on_result(training.name, result_of(1, 0.0, done=True))
    assert told.events == [("progressed", training.name), ("finished", training.name)]


def test_a_unit_that_fails_takes_what_needs_it_along_each_with_its_reason(schedule, training, store):
    told = Told()
    watch = Watch(schedule, store, [told])
    lost = {unit.name: unit for unit in schedule.units.values() if unit.needs == {training.name}}
    watch.on_result(training.name, StepResult(failure=Failure("bug", "no"), is_done=True))
    assert {name for event, name in told.events if event == "failed"} >= {training.name, *lost}
    for unit in lost.values():
        assert all(training.name in store.load_failure(spec.fingerprint).error for spec in unit.evaluations)


def test_the_most_gpu_memory_that_a_unit_took_is_known(schedule, training, store):
    watch = Watch(schedule, store, [])
    for epoch, taken in ((1, 700), (2, 650), (3, 0)):
        watch.on_result(training.name, replace(result_of(epoch, None), gpu_peak_mib=taken))
    assert watch.result.gpu_peak_mib == 700


LOST = Failure("node lost", "the node is gone")


def test_a_unit_whose_node_is_lost_is_handed_out_again_until_it_has_taken_too_many_along(
    schedule, training, store, monkeypatch
):
    monkeypatch.setattr(watching, "REST_SECONDS", 0.0)
    told = Told()
    watch = Watch(schedule, store, [told])
    others = []
    for _ in range(NODE_RETRIES):
        watch.on_start(training.name)
        watch.on_death(training.name, LOST)
        assert training.name not in watch.running
        while (unit := schedule.take()) != training:
            others.append(unit)
    assert not watch.result.failures
    watch.on_death(training.name, LOST)
    assert store.load_failure(training.name).kind == "node lost"


def test_a_unit_that_rests_is_not_handed_out_and_the_schedule_waits_for_it(schedule, training, store):
    watch = Watch(schedule, store, [])
    watch.on_death(training.name, LOST)
    while (unit := schedule.take()) is not None:
        assert unit != training
        schedule.finish(unit.name, error="x")
    assert not schedule.exhausted


def test_a_unit_whose_process_died_too_often_has_failed(schedule, training, store):
    watch = Watch(schedule, store, [])
    watch.on_death(training.name, replace(LOST, kind="process died"))
    assert list(watch.result.failures) == [training.name]
