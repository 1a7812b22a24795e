"""A sweep in this process: the same records as on Ray, failures as on Ray, and an end when the user wants one."""

import bdb
from dataclasses import replace

import numpy as np
import pytest
import torch

from orchestrator.cluster.resources import Resources
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping import in_process, sweep
from orchestrator.sweeping.remainder import remainder
from search_spaces.study import Study, Transfer
from trainables.errors import InputError

STUDY = Study(
    name="debugged",
    title="A debugged study",
    base={"dataset": "digits", "network.width": 4, "epochs": 2},
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.05, 0.1), "steps": 2}},
    transfers={"transfer": Transfer(attack="pgd_linf", source={"defense": "none"})},
    measures={"slopes": {"name": "gradients"}},
    examples=32,
)
DIVERGES = {"optimisation.optimizer": "sgd", "optimisation.lr": 1e9, "optimisation.weight_decay": 1.0}


class Log:
    """A listener that writes down events with the names of their units."""

    def __init__(self):
        self.events = []

    def __getattr__(self, event):
        return lambda *arguments: self.events.append((event, *(a.name for a in arguments if hasattr(a, "work"))))


def run(plan, store, **options):
    datasets = sweep.load_datasets(plan, remainder(plan, store))
    return sweep.run_plan(plan, store, datasets, **options)


def same(one, other):
    return all(np.array_equal(one.values[name], value, equal_nan=True) for name, value in other.values.items()) and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("eps", "correct", "prediction", "distance", "queries")
    )


def test_the_records_and_models_are_those_of_a_sweep_on_ray(ray_session, tmp_path):
    plan, here, there = expand(STUDY), Store(tmp_path / "here"), Store(tmp_path / "there")
    log = Log()
    assert run(plan, here, debug=True, listeners=[log]).done == len(
        {name for _, *names in log.events for name in names}
    )
    assert not run(plan, there).failures
    for kind in ("checkpoints", "records", "failures", "states"):
        assert here.fingerprints(kind) == there.fingerprints(kind)
    for fingerprint in plan.trainings:
        mine, theirs = (store.load_checkpoint(fingerprint).tensors for store in (here, there))
        assert all(torch.equal(mine[name], tensor) for name, tensor in theirs.items())
    for fingerprint in plan.evaluations:
        for mine, theirs in zip(here.load_records(fingerprint), there.load_records(fingerprint), strict=True):
            assert same(mine, theirs)
            assert mine.provenance == theirs.provenance


def test_units_run_one_after_the_other(tmp_path):
    log = Log()
    run(expand(STUDY), Store(tmp_path), debug=True, listeners=[log])
    ended = [(event, name) for event, *names in log.events for name in names if event in ("started", "finished")]
    assert [event for event, _ in ended] == ["started", "finished"] * (len(ended) // 2)
    assert [name for _, name in ended[::2]] == [name for _, name in ended[1::2]]


def test_a_failure_is_stored_with_its_traceback_and_the_rest_runs(tmp_path):
    plan, store = expand(STUDY, overrides={"defense": "none"} | DIVERGES, seeds=[0]), Store(tmp_path)
    result = run(plan, store, debug=True)
    (training,) = plan.trainings
    assert list(result.failures) == [training]
    assert not result.was_interrupted
    failure = store.load_failure(training)
    assert failure.kind == "diverged"
    assert "DivergedError" in failure.traceback.splitlines()[-1]
    assert store.fingerprints("failures") == {training, *plan.evaluations}


@pytest.mark.parametrize("end", [KeyboardInterrupt, bdb.BdbQuit])
def test_ctrl_c_and_a_debuggers_quit_end_the_sweep_and_it_goes_on_later(tmp_path, end):
    plan, store = expand(STUDY), Store(tmp_path)

    class Quits(Log):
        def begin(self, plan, rest, units, slots):
            first = next(unit for unit in units if unit.training)
            datasets[first.training.dataset.key] = Broken()

    class Broken:
        def __getattr__(self, name):
            raise end

    datasets = dict(sweep.load_datasets(plan, remainder(plan, store)))
    result = sweep.run_plan(plan, store, datasets, debug=True, listeners=[Quits()])
    assert result.was_interrupted
    assert store.fingerprints("failures") == store.fingerprints("checkpoints") == set()
    assert not run(plan, store, debug=True).was_interrupted
    assert remainder(plan, store).is_empty


def test_torch_is_left_as_it_was(tmp_path):
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    plan = expand(STUDY, overrides={"defense": "none", "epochs": 1})
    run(plan, Store(tmp_path), debug=True, resources=Resources(cpus_per_trial=2))
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(address="auto"), "--debug runs every trial in this process, got --address auto; leave one"),
        pytest.param(
            Resources(gpus_per_trial=0.5),
            "needs a GPU that PyTorch sees",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_resources_that_this_process_cannot_give_are_refused(resources, message):
    with pytest.raises(InputError, match=message):
        in_process.check_debug(resources)
    assert in_process.check_debug(replace(resources, address=None, gpus_per_trial=0.0)) == 1
