import dataclasses
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Images
from trainables.defenses import DEFENSES
from trainables.defenses.baselines.natural import NaturalConfig
from trainables.evaluation.clean import evaluate_clean
from trainables.fitting.descent import Descent
from trainables.judges import CLASSIFICATION
from trainables.runtime.failures import DivergedError
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun, build, on_device


@pytest.fixture(scope="module")
def few():
    return load(DatasetSpec(train_examples=64))


def spec(defense="none", *, epochs=3, seed=0, **optimisation):
    return TrainingSpec(
        defense=defense, network={"width": 2}, epochs=epochs, seed=seed, optimisation={"batch_size": 32} | optimisation
    )


class Noisy:
    """A defense that draws from the global RNG in its preparation and in every training step."""

    Config = NaturalConfig
    views = frozenset({"default"})
    judges = None

    def __init__(self, config, task):
        self.model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(28 * 28, task.outputs))
        self.descent = Descent(self.model.parameters(), task.optimisation, task.epochs)

    def prepare(self, batches):
        nn.init.normal_(self.model[2].weight, std=0.01 * next(iter(batches))[0].mean().item())

    def train_epoch(self, batches):
        return self.descent.epoch(batches, lambda images, labels: cross_entropy(self.model(images), labels))

    def view(self, name):
        return self.model

    def state_dict(self):
        return {"model": self.model.state_dict(), "descent": self.descent.state_dict()}

    def load_state_dict(self, state):
        self.model.load_state_dict(state["model"])
        self.descent.load_state_dict(state["descent"])


@pytest.fixture
def _noisy(monkeypatch):
    monkeypatch.setitem(DEFENSES.added, "none", Noisy)


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.defense.model.parameters()])


def finish(run):
    while not run.finished:
        run.step()
    return run


@pytest.mark.usefixtures("_noisy")
@pytest.mark.parametrize("stop", [0, 1, 2])
def test_noise_in_training_goes_on_bit_for_bit_after_a_stop(few, stored, stop):
    whole, first = finish(TrainingRun(spec(), few)), TrainingRun(spec(), few)
    for _ in range(stop):
        first.step()
    state = stored(first.state())
    torch.rand(11)
    rest = TrainingRun(spec(), few)
    rest.load_state(state)
    assert torch.equal(weights(finish(rest)), weights(whole))


@pytest.mark.usefixtures("_noisy")
def test_noise_in_training_differs_from_epoch_to_epoch(few):
    run = TrainingRun(spec(lr=1e-30), few)
    losses = [run.step()["loss"] for _ in range(3)]
    assert len({round(loss, 5) for loss in losses}) == 3


@pytest.mark.usefixtures("_noisy")
def test_the_global_rng_neither_matters_nor_changes(few):
    torch.manual_seed(1)
    first = weights(finish(TrainingRun(spec(), few)))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = weights(finish(TrainingRun(spec(), few)))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_gives_other_initial_weights_and_another_order(few):
    runs = [TrainingRun(spec(seed=seed, augmentation=["crop"]), few) for seed in (0, 1)]
    assert not torch.equal(weights(runs[0]), weights(runs[1]))
    same = weights(runs[0]).clone()
    runs[1].defense.model.load_state_dict(runs[0].defense.model.state_dict())
    for run in runs:
        run.step()
    assert not torch.equal(weights(runs[0]), same)
    assert not torch.equal(weights(runs[0]), weights(runs[1]))


def test_validation_accuracy_is_that_of_the_validation_split_after_the_epoch(few):
    run = TrainingRun(spec(), few)
    metrics = run.step()
    correct = evaluate_clean(
        run.defense.model, *on_device(few.validation, torch.device("cpu")), judge=CLASSIFICATION
    ).correct
    assert metrics["validation_accuracy"] == correct.mean()
    assert metrics["epoch"] == 1
    assert run.history == [metrics]


def test_seconds_are_those_of_the_epochs_training_and_the_preparations_stand_with_the_first(few, monkeypatch):
    class Slow(Noisy):
        def __init__(self, config, task):
            super().__init__(config, task)
            self.model.register_forward_hook(lambda *_: time.sleep(0.5))  # only the validation calls it

        def prepare(self, batches):
            time.sleep(0.05)

        def train_epoch(self, batches):
            time.sleep(0.02)
            return {"loss": 0.0}

    monkeypatch.setitem(DEFENSES.added, "none", Slow)
    first, second = finish(TrainingRun(spec(epochs=2), few)).history
    assert 0.05 <= first["prepare_seconds"] < 0.5
    assert all(0.02 <= metrics["seconds"] < 0.5 for metrics in (first, second))
    assert "prepare_seconds" not in second


def test_the_test_split_is_never_looked_at(few):
    none = Images(np.empty((0, 1, 28, 28), np.uint8), np.empty(0, np.int64))
    without = dataclasses.replace(few, test=none)
    assert torch.equal(weights(finish(TrainingRun(spec(), without))), weights(finish(TrainingRun(spec(), few))))


def test_it_finishes_after_its_epochs(few):
    run = TrainingRun(spec(epochs=2), few)
    assert [run.finished, bool(run.step()), run.finished, bool(run.step()), run.finished] == [False, True] * 2 + [True]


@pytest.mark.parametrize(
    ("accuracies", "patience", "finished"),
    [
        pytest.param([], 1, False, id="nothing yet"),
        pytest.param([0.5], 1, False, id="the first is the best so far"),
        pytest.param([0.5, 0.5], 1, True, id="as good is not better"),
        pytest.param([0.5, 0.4, 0.6, 0.5], 2, False, id="counts from the best"),
        pytest.param([0.5, 0.4, 0.3], 2, True, id="two without a better one"),
        pytest.param([0.5, 0.4, 0.3], None, False, id="no patience asked for"),
    ],
)
def test_patience_counts_epochs_since_the_best_one(few, accuracies, patience, finished):
    run = TrainingRun(spec(epochs=9, patience=patience), few)
    run.history = [{"validation_accuracy": accuracy} for accuracy in accuracies]
    assert run.finished is finished


def test_patience_ends_a_training_that_does_not_improve(few):
    assert len(finish(TrainingRun(spec(epochs=9, lr=1e-30, patience=2), few)).history) == 3


def test_divergence_is_an_error_that_names_the_epoch(few, monkeypatch):
    finite = {"loss": 1.0}
    run = TrainingRun(spec(), few)
    given = iter([finite, {"loss": math.nan}])
    run.defense = SimpleNamespace(model=run.defense.model, train_epoch=lambda batches: dict(next(given)))
    run.step()
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 2; lower optimisation\.lr"):
        run.step()
    assert len(run.history) == 1


def test_training_resets_to_training_mode_each_epoch(few):
    run = TrainingRun(spec(), few)
    run.step()
    run.defense.model.eval()
    run.step()
    assert run.defense.model.training


def test_build_gives_the_defense_of_the_spec_for_the_shape_of_the_data(few):
    defense = build(spec("rbf_mapping"), few)
    assert type(defense) is DEFENSES["rbf_mapping"]
    assert defense.model(torch.rand(2, *few.shape)).shape == (2, few.outputs)


def test_loading_a_state_does_not_change_what_it_was_taken_from(few):
    run = TrainingRun(spec(), few)
    run.step()
    other = TrainingRun(spec(), few)
    other.load_state(run.state())
    before = weights(run).clone()
    other.step()
    assert len(run.history) == 1
    assert torch.equal(weights(run), before)


def test_on_device_shares_the_memory_of_the_arrays(few):
    pixels, labels = on_device(few.train, torch.device("cpu"))
    assert pixels.data_ptr() == few.train.pixels.ctypes.data
    assert labels.tolist() == few.train.labels.tolist()
