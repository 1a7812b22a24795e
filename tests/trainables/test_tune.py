"""What a worker does with a unit, called without Ray."""

import math

import pytest
import torch
from evaluated import evaluate_attacked
from gentle import gentle

from orchestrator.storage.store import Store
from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.defenses import DEFENSES
from trainables.evaluation.transferred import craft
from trainables.judges import CLASSIFICATION
from trainables.runtime.randomness import seeded
from trainables.specs import EvaluationSpec, TrainingSpec
from trainables.training import TrainingRun, on_device
from trainables.units import EvaluateUnit, Probe, TrainUnit
from trainables.work import Bench, evaluate, train

PGD = {"name": "pgd", "eps": (0.02, 0.05), "steps": 2}


@pytest.fixture(scope="module")
def few():
    return load(DatasetSpec(train_examples=128))


def spec_of(name, epochs=2):
    return TrainingSpec(
        defense=gentle(name),
        dataset={"train_examples": 128},
        network={"width": 3},
        optimisation={"batch_size": 48},
        epochs=epochs,
    )


def results_of(spec, splits, root, probe=None):
    """Run a training unit to its end; return its results and the checkpoint."""
    bench = Bench(Store(root), {}, math.inf, "cpu", _splits={spec.dataset.key: splits})
    results = list(train(TrainUnit(spec=spec, probe=probe), bench))
    return results, bench.store.load_checkpoint(spec.fingerprint)


def probe_of(spec, epochs):
    evaluation = EvaluationSpec(model=spec.fingerprint, attack=PGD, split="validation", examples=24, seed=2)
    return Probe(evaluation=evaluation, epochs=epochs)


def untimed(metrics):
    """Leave out of an epoch's metrics what no two runs share."""
    return {key: value for key, value in metrics.items() if not key.endswith("seconds")}


@pytest.mark.parametrize("name", DEFENSES)
def test_a_probe_does_not_change_what_is_trained(name, few, tmp_path):
    spec = spec_of(name)
    _, plain = results_of(spec, few, tmp_path / "plain")
    results, probed = results_of(spec, few, tmp_path / "probed", probe_of(spec, (1,)))
    assert [result.probed is not None for result in results] == [True, False]
    assert all(torch.equal(probed.tensors[key], tensor) for key, tensor in plain.tensors.items())
    for one, other in zip(plain.history, probed.history, strict=True):
        assert untimed(one) == untimed(other)


def test_a_probe_measures_the_model_as_it_is_after_its_epochs_and_only_then(few, tmp_path):
    spec = spec_of("none", epochs=4)
    probe = probe_of(spec, (2,))
    results, _ = results_of(spec, few, tmp_path, probe)
    run = TrainingRun(spec, few)
    run.step()
    run.step()
    images, labels = (tensor[:24] for tensor in on_device(few.validation, "cpu"))
    model = run.defense.model
    outcomes = evaluate_attacked(model, model, images, labels, attack=probe.evaluation.attack, seed=2)
    expected = sum(outcome.correct.mean() for outcome in outcomes) / 2
    assert [result.probed for result in results] == [None, expected, None, None]


def test_a_source_crafts_under_its_own_settings_at_test_time(few, tmp_path):
    """Of wnll's two heads, on which the same attack makes different examples."""
    spec = spec_of("wnll")
    bench = Bench(Store(tmp_path), {}, math.inf, "cpu", _splits={spec.dataset.key: few})
    list(train(TrainUnit(spec=spec), bench))
    asked = [
        EvaluationSpec(
            model=spec.fingerprint, source=spec.fingerprint, attack=PGD, examples=24, source_inference=inference
        )
        for inference in ({"activation": "linear"}, {})
    ]
    list(evaluate(EvaluateUnit(specs=asked), bench))
    linear, default = (bench.store.load_crafted(e.crafting_fingerprint) for e in asked)
    defense, _ = bench.model(spec.fingerprint)
    view = defense.view("default", defense.Inference(activation="linear"))
    images, labels = (tensor[:24] for tensor in on_device(few.test, "cpu"))
    with seeded(0, torch.device("cpu")):
        expected = craft(view, images, labels, attack=asked[0].attack, seed=0, judge=CLASSIFICATION)
    assert all(torch.equal(linear[eps], images) for eps, images in expected.items())
    assert not any(torch.equal(default[eps], images) for eps, images in expected.items())


def test_a_unit_that_is_started_again_does_only_what_the_store_lacks(few, tmp_path):
    """As after the death of a worker, whose unit is started again as it was."""
    spec = spec_of("none", epochs=1)
    clean, attacked = (EvaluationSpec(model=spec.fingerprint, attack=attack, examples=24) for attack in (None, PGD))
    unit = EvaluateUnit(specs=(clean, attacked))
    bench = Bench(Store(tmp_path), {}, math.inf, "cpu", _splits={spec.dataset.key: few})
    trained = list(train(TrainUnit(spec=spec), bench))
    bench.store.save_state(spec.fingerprint, {"left": torch.zeros(1)}, {})
    first = next(evaluate(unit, bench))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.parent.name != "states"}
    assert len(written) == 2
    assert list(train(TrainUnit(spec=spec), bench)) == trained
    assert bench.store.fingerprints("states") == set()
    again = list(evaluate(unit, bench))
    assert again[0] == first
    assert [result.is_done for result in again] == [False, True]
    assert bench.store.fingerprints("records") == {clean.fingerprint, attacked.fingerprint}
    assert {path: path.stat().st_mtime_ns for path in written} == written
