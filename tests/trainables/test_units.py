"""What travels between the driver and its workers comes back as it was."""

import json

import pytest

from trainables.runtime.failures import Failure
from trainables.specs import EvaluationSpec, TrainingSpec
from trainables.units import EvaluateUnit, Probe, StepResult, TrainUnit, as_dict, config_of, name_in, result_in, work_in

SPEC = TrainingSpec(defense={"name": "wnll"}, network={"width": 3})
CLEAN = EvaluationSpec(model=SPEC.fingerprint)
ATTACKED = EvaluationSpec(model=SPEC.fingerprint, attack={"name": "pgd", "eps": (0.1, 0.2), "steps": 2})
MEASURED = EvaluationSpec(model=SPEC.fingerprint, measure={"name": "gradients"})


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(TrainUnit(spec=SPEC), id="training"),
        pytest.param(TrainUnit(spec=SPEC, probe=Probe(evaluation=ATTACKED, epochs=(1, 2))), id="training with a probe"),
        pytest.param(EvaluateUnit(specs=(CLEAN, ATTACKED, MEASURED)), id="evaluations"),
    ],
)
def test_a_unit_comes_back_from_its_config(work):
    config = json.loads(json.dumps(config_of("a unit", work)))
    assert name_in(config) == "a unit"
    assert work_in(config) == work


@pytest.mark.parametrize(
    "result",
    [
        StepResult({"loss": 0.5, "epoch": 1}, probed=0.25),
        StepResult({"accuracy": 0.5}, is_done=True, gpu_peak_mib=700),
        StepResult(is_done=True, failure=Failure("bug", "no", traceback="t", log="l")),
    ],
)
def test_a_result_comes_back_from_all_that_tune_reports(result):
    reported = {**json.loads(json.dumps(as_dict(result))), "config": {}, "training_iteration": 1, "trial_id": "a"}
    assert result_in(reported) == result


def test_the_last_result_ends_the_trial():
    assert as_dict(StepResult(is_done=True))["done"] is True
