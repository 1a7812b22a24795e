"""Sweeps on a real Ray, shared by the session's tests."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from evaluated import evaluate_attacked

from orchestrator.cluster.resources import Resources
from orchestrator.commands.status import causes
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep, tuner
from orchestrator.sweeping.remainder import only_failed, remainder
from search_spaces.study import Study, Transfer
from trainables.data.datasets import load
from trainables.evaluation.clean import evaluate_clean
from trainables.evaluation.transferred import craft, evaluate_transferred
from trainables.judges import CLASSIFICATION
from trainables.measures import measured
from trainables.training import TrainingRun, on_device

STUDY = Study(
    name="tiny",
    title="A tiny study",
    base={"dataset": "digits", "network.width": 4, "epochs": 2},
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.05, 0.1), "steps": 3}},
    transfers={"transfer": Transfer(attack="pgd_linf", source={"defense": "none"})},
    measures={"slopes": {"name": "gradients"}},
    seeds=(0,),
    examples=64,
)


# One worker process: what does not run two units at once need not wait for a second process to start.
ALONE = Resources(max_concurrent=1)


class Journal:
    """A listener that writes down what it is told."""

    def __init__(self):
        self.units, self.events = [], []

    def begin(self, plan, rest, units, slots):
        self.units, self.slots = units, slots

    def started(self, unit):
        self.events.append(("started", unit.name))

    def progressed(self, unit, metrics):
        self.events.append(("progressed", unit.name))

    def finished(self, unit):
        self.events.append(("finished", unit.name))

    def done_elsewhere(self, unit):
        self.events.append(("done elsewhere", unit.name))

    def failed(self, unit, failure):
        self.events.append(("failed", unit.name))

    def given_up(self, unit):
        self.events.append(("given_up", unit.name))

    def count(self, event):
        return sum(e == event for e, _ in self.events)


def run(plan, store, **options):
    datasets = sweep.load_datasets(plan, remainder(plan, store))
    return sweep.run_plan(plan, store, datasets, **options)


@pytest.fixture(scope="module")
def finished(ray_session, tmp_path_factory):
    """The tiny study, run once."""
    store, plan, journal = Store(tmp_path_factory.mktemp("root")), expand(STUDY), Journal()
    result = run(plan, store, listeners=[journal])
    assert result.failures == {}
    return plan, store, journal


def test_a_sweep_fills_the_store_and_reports_each_unit_once(finished):
    plan, store, journal = finished
    assert remainder(plan, store).is_empty
    assert store.fingerprints("failures") == store.fingerprints("states") == set()
    assert sorted(n for e, n in journal.events if e == "finished") == sorted(u.name for u in journal.units)
    epochs = sum(spec.epochs for spec in plan.trainings.values())
    assert journal.count("progressed") == epochs + len(plan.evaluations)


def test_a_sweep_gives_what_plain_calls_without_ray_give(finished):
    plan, store, _ = finished
    models = {}
    for fingerprint, spec in plan.trainings.items():
        splits = load(spec.dataset)
        training = TrainingRun(spec, splits)
        while not training.finished:
            training.step()
        models[fingerprint] = training.defense.model
        stored = store.load_checkpoint(fingerprint)
        assert stored.spec == spec
        assert all(torch.equal(stored.tensors[k], v) for k, v in training.defense.model.state_dict().items())
    images, labels = (tensor[: STUDY.examples] for tensor in on_device(splits.test, "cpu"))
    for fingerprint, spec in plan.evaluations.items():
        model = models[spec.model]
        if spec.source:
            crafted = craft(
                models[spec.source], images, labels, attack=spec.attack, seed=spec.seed, judge=CLASSIFICATION
            )
            expected = evaluate_transferred(model, crafted, images, labels, attack=spec.attack, judge=CLASSIFICATION)
        elif spec.measure:
            expected = [evaluate_clean(model, images, labels, judge=CLASSIFICATION)]
            found = measured(model, images, labels, spec=spec.measure, seed=spec.seed, judge=CLASSIFICATION)
            (record,) = store.load_records(fingerprint)
            assert set(record.values) == set(found)
            for name, value in found.items():
                np.testing.assert_array_equal(record.values[name], value)
        elif spec.attack:
            expected = evaluate_attacked(model, model, images, labels, attack=spec.attack, seed=spec.seed)
        else:
            expected = [evaluate_clean(model, images, labels, judge=CLASSIFICATION)]
        for record, outcome in zip(store.load_records(fingerprint), expected, strict=True):
            assert record.eps == outcome.eps
            np.testing.assert_array_equal(record.correct, outcome.correct)
            np.testing.assert_array_equal(record.prediction, outcome.prediction)


def test_transfer_examples_are_crafted_once_a_source(finished):
    plan, store, _ = finished
    assert store.fingerprints("crafted") == {e.crafting_fingerprint for e in plan.evaluations.values() if e.source}


def test_running_again_runs_nothing(finished):
    plan, store, _ = finished
    journal = Journal()
    assert run(plan, store, listeners=[journal]).done == 0
    assert journal.events == []


def test_a_change_of_eps_evaluates_and_does_not_train(finished):
    _, store, _ = finished
    journal = Journal()
    plan = expand(STUDY, overrides={"attack.pgd_linf.eps": [0.2]})
    run(plan, store, listeners=[journal], resources=ALONE)
    assert remainder(plan, store).is_empty
    assert all(unit.training is None for unit in journal.units)


def test_a_unit_that_fails_is_kept_with_its_reason_and_the_rest_goes_on(ray_session, tmp_path):
    store, journal = Store(tmp_path), Journal()
    plan = expand(
        STUDY,
        overrides={
            "defense": "none",
            "optimisation.optimizer": "sgd",
            "optimisation.weight_decay": 1.0,
            "optimisation.lr": [1e-3, 1e9],
        },
    )
    good, bad = sorted(plan.trainings, key=lambda f: plan.trainings[f].optimisation.lr)
    result = run(plan, store, listeners=[journal])
    assert list(result.failures) == [bad]
    assert "DivergedError" in result.failures[bad].error
    assert "Traceback" in store.load_failure(bad).traceback
    assert store.fingerprints("checkpoints") == {good}
    lost = {f for f, e in plan.evaluations.items() if e.model == bad}
    assert {e.fingerprint for e in remainder(plan, store).evaluations} == lost
    assert all(bad in store.load_failure(f).error for f in lost)


def test_a_listener_that_raises_does_not_stop_a_sweep(ray_session, tmp_path, caplog):
    class Broken(Journal):
        def progressed(self, unit, metrics):
            raise KeyError("broken listener")

    store, plan = Store(tmp_path), expand(STUDY, overrides={"defense": "none", "epochs": 1})
    run(plan, store, listeners=[Broken()], resources=ALONE)
    assert remainder(plan, store).is_empty
    assert "broken listener" in caplog.text


def test_a_killed_worker_goes_on_from_its_last_state_to_the_same_weights(ray_session, tmp_path):
    store = Store(tmp_path)
    plan = expand(STUDY.model_copy(update={"attacks": {}, "transfers": {}}), overrides={"defense": "none", "epochs": 6})
    ((fingerprint, spec),) = plan.trainings.items()

    class Killer(Journal):
        """Kills the worker process after its third epoch, once."""

        def progressed(self, unit, metrics):
            super().progressed(unit, metrics)
            if unit.training and metrics["epoch"] == 3 and self.count("started") == 1:
                kill_workers()

    killer = Killer()
    result = run(plan, store, listeners=[killer], state_seconds=0.0, resources=ALONE)
    assert result.failures == {}
    assert killer.count("started") >= 2
    training = TrainingRun(spec, load(spec.dataset))
    while not training.finished:
        training.step()
    stored = store.load_checkpoint(fingerprint)
    assert [metrics["epoch"] for metrics in stored.history] == [1, 2, 3, 4, 5, 6]
    for name, tensor in training.defense.model.state_dict().items():
        assert torch.equal(stored.tensors[name], tensor), name


def kill_workers():
    """Kill -9 the processes that run units."""
    mine = psutil.Process().children(recursive=True)
    workers = [p for p in mine if "Unit" in " ".join(_command(p))]
    assert workers
    for process in workers:
        os.kill(process.pid, signal.SIGKILL)


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.slow
def test_a_unit_whose_worker_dies_again_and_again_is_kept_with_its_log_and_the_rest_goes_on(ray_session, tmp_path):
    store = Store(tmp_path)
    plan = expand(STUDY.model_copy(update={"transfers": {}, "measures": {}}), overrides={"epochs": 3})
    bad = next(f for f, spec in plan.trainings.items() if spec.defense.name == "none")

    class Killer(Journal):
        """Kills the worker process after every epoch of one unit."""

        def progressed(self, unit, metrics):
            super().progressed(unit, metrics)
            if unit.name == bad:
                kill_workers()

    killer = Killer()
    result = run(plan, store, listeners=[killer], resources=ALONE)
    assert list(result.failures) == [bad]
    assert killer.events.count(("started", bad)) == 1 + tuner.PROCESS_RETRIES
    failure = store.load_failure(bad)
    assert failure.kind == "process died"
    pid = failure.traceback.rpartition("pid: ")[2].split()[0]
    assert failure.log.endswith(f"-{pid}.err")
    assert Path(failure.log.partition(":")[2]).exists()
    found = causes({f: store.load_failure(f) for f in store.fingerprints("failures")})
    assert [(cause.kind, len(cause.units)) for cause in found] == [("process died", 1), ("no model", 2)]
    good = {f for f, e in plan.evaluations.items() if e.model != bad}
    assert store.fingerprints("records") == good
    rest = only_failed(remainder(plan, store), store)
    assert {spec.fingerprint for spec in rest.trainings} == {bad}
    assert rest.fingerprints == remainder(plan, store).fingerprints
    assert sweep.run_plan(plan, store, sweep.load_datasets(plan, rest), rest=rest).failures == {}
    assert remainder(plan, store).is_empty
    assert store.fingerprints("failures") == set()
