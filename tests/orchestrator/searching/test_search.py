"""The source of a search's units, driven without Ray: a fake worker writes what a unit would have written."""

import hashlib
import random

import numpy as np
import pytest
import torch
from made_up import record_of

from orchestrator.searching import search as search_module
from orchestrator.searching.ledger import Options
from orchestrator.searching.objectives import judged_by, objectives_of
from orchestrator.searching.search import open_search
from orchestrator.searching.space import search_space
from orchestrator.storage.store import Store
from orchestrator.sweeping import schedule as schedule_module
from search_spaces.study import FloatRange, IntRange, Study
from trainables.errors import InputError
from trainables.specs import TrainingSpec

STUDY = Study(
    name="s",
    title="S",
    base={"network.width": 4, "epochs": 8},
    space=({"defense": ("none",)},),
    search={
        "defense": ("none", "rbf_mapping"),
        "optimisation.lr": FloatRange(low=1e-4, high=1e-1, log=True),
        "defense.centers": IntRange(low=2, high=40),
    },
    attacks={"pgd": {"name": "pgd", "eps": (0.1, 0.2)}},
)
FEW = STUDY.model_copy(update={"search": {"defense": ("none", "madry", "trades")}})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def opened(store, study=STUDY, *, objectives="", seeds=None, name="s", **options):
    space = search_space(study, scale="quick", overrides={}, seeds=seeds)
    found = objectives_of(objectives, space)
    storage = f"sqlite:///{store.root}/optuna.db"
    return open_search(judged_by(space, found), found, Options(name, storage, **{"trials": 6} | options), store)


class Driver:
    """Runs a search's units as Tune would, `slots` at a time, in an order of its own; keeps what it is told."""

    def __init__(self, search, *, slots=1, failing=lambda spec: False, seed=0):
        self.search, self.slots, self.failing = search, slots, failing
        self.order = random.Random(seed)
        self.running, self.ran, self.told, self.begun = [], [], [], []
        search.begin(slots, [self], self.told.append)

    def begin(self, plan, rest, units, slots):
        self.begun.append(plan)

    def step(self):
        """Start what can be started, end one unit; return whether there was one."""
        while len(self.running) < self.slots and (unit := self.search.take()) is not None:
            self.running.append(unit)
        if not self.running:
            return False
        unit = self.running.pop(self.order.randrange(len(self.running)))
        self.ran.append(unit)
        if unit.training and self.failing(unit.training):
            self.search.finish(unit.name, error="DivergedError: nan")
            return True
        for spec in unit.specs:
            write(self.search.store, spec)
        self.search.finish(unit.name)
        return True

    def run(self):
        while self.step():
            pass
        assert self.search.exhausted
        return self


def write(store, spec):
    """Put made-up results into the store: what is right depends on the spec."""
    if isinstance(spec, TrainingSpec):
        store.save_checkpoint(spec, {"weight": torch.zeros(1)}, [{"loss": 1.0, "epoch": 1}])
        return
    grid = spec.attack.eps if spec.attack else (0.0,)
    draws = np.random.default_rng(int(hashlib.sha256(spec.fingerprint.encode()).hexdigest()[:8], 16))
    store.save_records(
        [
            record_of(spec, e, draws.random(10) < 0.7, np.zeros(10, np.int32), np.zeros(10, np.float32), 0.1, 0, {})
            for e in grid
        ]
    )


def points(trials):
    return [dict(trial.settings) for trial in trials]


def by_work(trials):
    return {trial.work: (trial.state, trial.values) for trial in trials}


@pytest.mark.parametrize(("slots", "sampler"), [(1, "nsgaii"), (3, "tpe"), (5, "random")])
def test_a_search_ends_with_the_trials_that_were_asked_for(store, slots, sampler):
    driver = Driver(opened(store, sampler=sampler), slots=slots).run()
    trials = driver.search.ledger.trials()
    assert len(trials) == len({trial.work for trial in trials}) == 6
    assert {trial.state for trial in trials} == {"complete"}
    assert all(len(trial.values) == 2 and 0 <= value <= 1 for trial in trials for value in trial.values)
    assert [trial.number for trial in sorted(driver.told, key=lambda t: t.number)] == list(range(6))
    specs = [spec.fingerprint for unit in driver.ran for spec in unit.specs]
    assert len(specs) == len(set(specs))


def test_a_trial_s_settings_make_the_model_that_it_names_and_only_what_concerns_its_defense(store):
    driver = Driver(opened(store, trials=8, sampler="random")).run()
    trained = {unit.training.fingerprint: unit.training for unit in driver.ran if unit.training}
    seen = set()
    for trial in driver.search.ledger.trials():
        spec = trained[trial.models[0]]
        seen.add(spec.defense.name)
        assert trial.settings["defense.name"] == spec.defense.name
        assert trial.settings["optimisation.lr"] == spec.optimisation.lr
        assert ("defense.centers" in trial.settings) == (spec.defense.name == "rbf_mapping")
    assert seen == {"none", "rbf_mapping"}


def test_everything_that_is_evaluated_is_a_validation_example(store):
    driver = Driver(opened(store)).run()
    evaluations = [spec for unit in driver.ran for spec in unit.evaluations]
    assert evaluations
    assert {spec.split for spec in evaluations} == {"validation"}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_was_killed_at_any_step_goes_on_to_what_it_would_have_found(store, tmp_path, sampler):
    """But for NSGA-II, whose parents depend on the order of the trials. TPE's first ten points are random."""
    whole = Driver(opened(store, sampler=sampler, trials=12)).run().search.ledger.trials()
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    steps = random.Random(5)
    for _ in range(5):
        driver = Driver(opened(other, sampler=sampler, trials=12))
        for _ in range(steps.randrange(6)):
            driver.step()
    assert 0 < driver.search.done < 12
    found = Driver(opened(other, sampler=sampler, trials=12)).run().search.ledger.trials()
    assert by_work(found) == by_work(whole)
    assert len(found) == 12


def test_what_was_left_running_is_tried_again_first_and_counts_once(store):
    killed = Driver(opened(store, trials=4), slots=2)
    killed.search.take(), killed.search.take()
    left = [dict(plan.variants[0].settings) for plan in killed.begun]
    assert len(left) == 2
    driver = Driver(opened(store, trials=4)).run()
    trials = driver.search.ledger.trials()
    assert points(trials)[:2] == left
    assert [trial.state for trial in trials] == ["complete"] * 4


def test_a_driver_whose_trials_another_took_over_goes_on_and_what_it_ran_is_the_other_s_too(store):
    first = Driver(opened(store, trials=3))
    unit = first.search.take()
    second = opened(store, trials=3)
    write(store, unit.training)
    first.search.finish(unit.name)
    first.run()
    assert first.search.error is None
    driver = Driver(second).run()
    trials = driver.search.ledger.trials()
    assert len({trial.work for trial in trials}) >= 3
    assert {trial.state for trial in trials} == {"complete"}
    ran = [spec.fingerprint for each in (first, driver) for unit in each.ran for spec in unit.specs]
    assert len(ran) == len(set(ran))


def test_a_finished_search_asks_for_nothing_and_a_longer_one_for_the_rest(store):
    first = Driver(opened(store)).run().search.ledger.trials()
    again = Driver(opened(store)).run()
    assert again.ran == again.told == []
    longer = Driver(opened(store, trials=9)).run()
    assert len(longer.told) == 3
    assert longer.search.ledger.trials()[:6] == first


def test_what_the_store_has_is_worth_at_once_what_its_records_say(store):
    first = Driver(opened(store, name="one")).run()
    second = Driver(opened(store, name="two")).run()
    assert second.ran == []
    assert by_work(second.search.ledger.trials()) == by_work(first.search.ledger.trials())


@pytest.mark.parametrize(("slots", "sampler"), [(1, "tpe"), (3, "nsgaii"), (5, "random")])
def test_a_small_space_is_exhausted_each_point_is_run_once_and_the_search_ends(store, slots, sampler, monkeypatch):
    monkeypatch.setattr(search_module, "REPEATS", 10)
    driver = Driver(opened(store, FEW, trials=10, sampler=sampler), slots=slots).run()
    trials = driver.search.ledger.trials()
    assert len({trial.work for trial in trials}) == 3 == driver.search.done
    assert sum(unit.training is not None for unit in driver.ran) == 3
    outcomes = {trial.number: trial for trial in trials}
    copies = [trial for trial in trials if trial.same_as is not None]
    assert copies
    for copy in copies:
        assert outcomes[copy.same_as].same_as is None
        assert by_work([copy]) == by_work([outcomes[copy.same_as]])
    assert Driver(opened(store, FEW, trials=10, sampler=sampler)).told == []


def test_trials_that_differ_at_test_time_alone_share_a_model(store):
    study = STUDY.model_copy(
        update={"search": {"defense": ("rbf_cnn",), "inference.beta2": FloatRange(low=0.5, high=3)}}
    )
    driver = Driver(opened(store, study, trials=4), slots=3).run()
    assert sum(unit.training is not None for unit in driver.ran) == 1
    assert len({trial.work for trial in driver.search.ledger.trials()}) == 4


def test_seeds_are_averaged_over(store):
    driver = Driver(opened(store, objectives="clean_accuracy", seeds=[0, 1], trials=2)).run()
    for trial in driver.search.ledger.trials():
        assert set(trial.models) == {0, 1}
        plan = next(p for p in driver.begun if set(p.trainings) == set(trial.models.values()))
        accuracies = [store.load_records(f)[0].mean_score for f in plan.evaluations]
        assert trial.values == (pytest.approx(np.mean(accuracies)),)


def test_a_training_that_fails_is_a_failed_trial_with_its_reason_and_the_search_goes_on(store):
    def failing(spec):
        return spec.defense.name == "rbf_mapping"

    search = opened(store, trials=8, sampler="random")
    trials = Driver(search, slots=3, failing=failing).run().search.ledger.trials()
    assert len(trials) == 8
    for trial in trials:
        assert trial.state == ("failed" if trial.settings["defense.name"] == "rbf_mapping" else "complete")
        assert trial.error == ("DivergedError: nan" if trial.state == "failed" else "")


def test_a_point_that_makes_no_spec_is_a_failed_trial(store):
    study = STUDY.model_copy(
        update={
            "search": {
                "defense": ("wnll",),
                "defense.neighbors": IntRange(low=8, high=20),
                "defense.scale_neighbor": IntRange(low=2, high=8),
            },
            "base": STUDY.base | {"defense.scale_neighbor": 8},
        }
    )
    search = opened(store, study, trials=6, sampler="random")
    search.space.ranges["defense.scale_neighbor"] = IntRange(low=2, high=30)  # beyond what the corners have
    trials = Driver(search).run().search.ledger.trials()
    wrong = [t for t in trials if t.settings["defense.scale_neighbor"] > t.settings["defense.neighbors"]]
    assert wrong
    assert [trial for trial in trials if trial.state == "failed"] == wrong
    assert all("scale_neighbor must be at most neighbors" in trial.error for trial in wrong)
    assert len(trials) == 6


@pytest.mark.parametrize("pruner", ["asha", "median"])
def test_what_falls_behind_is_given_up_and_the_rest_of_its_work_with_it(store, pruner):
    search = opened(store, objectives="clean_accuracy", pruner=pruner, trials=12, sampler="random")
    driver = Driver(search)
    while (unit := search.take()) is not None:
        if unit.training:
            assert unit.work.probe.epochs == (1, 2, 4)
            store.save_state(unit.name, {"weight": torch.zeros(1)}, {})
            worth = unit.training.optimisation.lr
            if any(search.gives_up(unit.name, epoch=epoch, value=worth * epoch) for epoch in unit.work.probe.epochs):
                assert not store.has("states", unit.name)
                continue
        for spec in unit.specs:
            write(store, spec)
        search.finish(unit.name)
    trials = search.ledger.trials()
    pruned = [trial for trial in trials if trial.state == "pruned"]
    complete = [trial for trial in trials if trial.state == "complete"]
    assert len(trials) == 12
    assert pruned
    assert complete
    assert all(trial.probed and not trial.values for trial in pruned)
    best = max(trials, key=lambda trial: trial.settings["optimisation.lr"])
    assert best in complete
    evaluated = {spec.model for plan in driver.begun for spec in plan.evaluations.values()} & {
        store.load_records(f)[0].evaluation.model for f in store.fingerprints("records")
    }
    assert evaluated == {model for trial in complete for model in trial.models.values()}


class Peer:
    """Another driver on the store, which has some work under way and may have finished some."""

    def __init__(self):
        self.under_way, self.finished = set(), set()

    def done(self, fingerprints):
        return self.finished.intersection(fingerprints)

    def take(self, fingerprints):
        return self.under_way.isdisjoint(fingerprints)

    def release(self, fingerprints):
        pass


def test_what_another_driver_has_finished_meanwhile_is_not_run_here(store, monkeypatch):
    monkeypatch.setattr(schedule_module, "LOOK_AGAIN_SECONDS", 0.0)
    search, peer, told = opened(store, trials=1), Peer(), []
    plans = []

    class Plans:
        def begin(self, plan, rest, units, slots):
            plans.append(plan)

        def done_elsewhere(self, unit):
            pass

    search.begin(1, [Plans()], told.append, peers=peer)
    ((model, spec),) = plans[0].trainings.items()
    evaluations = dict(plans[0].evaluations)
    peer.under_way = {model, *evaluations}
    assert search.take() is None
    assert not search.exhausted
    write(store, spec)
    fingerprint, evaluation = evaluations.popitem()
    write(store, evaluation)
    peer.finished, peer.under_way = {model, fingerprint}, set()
    while (unit := search.take()) is not None:
        assert unit.training is None
        for spec in unit.specs:
            assert evaluations.pop(spec.fingerprint)
            write(store, spec)
        search.finish(unit.name)
    assert not evaluations
    assert search.exhausted
    assert [trial.state for trial in told] == ["complete"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"sampler": "tpee"}, "unknown sampler 'tpee'. Did you mean 'tpe'?", id="sampler"),
        pytest.param({"pruner": "asa"}, "unknown pruner 'asa'. Did you mean 'asha'?", id="pruner"),
        pytest.param({"trials": 0}, "trials must be >= 1, got 0", id="trials"),
        pytest.param({"name": "../s"}, r"names files, got '../s'", id="name of another folder"),
        pytest.param({"name": ".."}, r"names files, got '..'", id="name of the folder above"),
        pytest.param({"pruner": "asha"}, "pruner asha needs one objective that is one column and one seed", id="two"),
        pytest.param(
            {"pruner": "median", "objectives": "robust_accuracy:worst_case"}, "pruner median needs one", id="worst case"
        ),
        pytest.param(
            {"pruner": "asha", "objectives": "clean_accuracy", "seeds": [0, 1]}, "seeds 0, 1", id="pruned over seeds"
        ),
    ],
)
def test_what_cannot_be_carried_on_is_refused(store, options, message):
    with pytest.raises(InputError, match=message):
        opened(store, **options)


def test_other_settings_under_the_same_name_are_refused_with_what_differs(store):
    Driver(opened(store, trials=1)).run()
    with pytest.raises(InputError, match="search 's' has trials with other objectives: choose another --name"):
        opened(store, objectives="robust_accuracy:worst_case,clean_accuracy")
    wider = STUDY.model_copy(update={"base": STUDY.base | {"network.width": 8}})
    with pytest.raises(InputError, match="other settings"):
        opened(store, wider)
    assert opened(store, name="other", objectives="clean_accuracy").done == 0


def test_another_sampler_or_pruner_goes_on_with_the_same_trials(store):
    Driver(opened(store, objectives="clean_accuracy", trials=3)).run()
    search = opened(store, objectives="clean_accuracy", trials=5, sampler="random", pruner="asha")
    assert search.done == 3


def test_a_database_that_fails_on_the_way_ends_the_search_and_says_why(store):
    driver = Driver(opened(store, trials=6))
    driver.step()
    database = f"{store.root}/optuna.db"
    with open(database, "r+b") as file:
        file.truncate(100)
    while driver.step():
        pass
    assert driver.search.exhausted
    assert "Error" in driver.search.error


def test_a_history_has_the_trials_and_what_made_them_good(store):
    search = Driver(opened(store, trials=12)).run().search
    history = search.history(STUDY, command="robust-sweep search s")
    assert history.trials == tuple(search.ledger.trials())
    assert set(history.importance) == {"clean_accuracy", "robust_accuracy:worst_case"}
    for shares in history.importance.values():
        assert set(shares) == {"defense.name", "optimisation.lr", "defense.centers"}
        assert sum(shares.values()) == pytest.approx(1)
