"""Real models under the real engine: two that mask their gradients on purpose, and two that do not."""

import numpy as np
import pytest
import torch
from evaluated import evaluate_attacked
from torch import nn

from orchestrator.summary.evidence import Evidence, Threat
from orchestrator.summary.verdict import FAILED, RED_FLAG, verdict_of
from trainables.attacks.registry import attack_spec
from trainables.evaluation.clean import evaluate_clean
from trainables.evaluation.transferred import craft, evaluate_transferred
from trainables.judges import CLASSIFICATION
from trainables.measures import MEASURES, measured
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun, on_device

N = 120
ATTACKS = {
    "fgsm": {"name": "fgsm", "eps": (0.1, 0.2)},
    "pgd": {"name": "pgd", "eps": (0.1, 0.2, 0.5), "steps": 20},
    "pgd_long": {"name": "pgd", "eps": (0.1, 0.2), "steps": 60},
}


class Rounded(nn.Module):
    """Rounds its input to four levels, which has no gradient."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model((images * 3).round() / 3)


class Saturated(nn.Module):
    """Multiplies its logits until the softmax has no gradient in float32."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return 1e4 * self.model(images)


@pytest.fixture(scope="module")
def models(digits):
    attack = {"eps": 0.1, "steps": 5, "relative_step": 0.4}
    defenses = {"undefended": "none", "madry": {"name": "madry", "attack": attack}, "source": "none"}
    found = {}
    for seed, (name, defense) in enumerate(defenses.items()):
        spec = TrainingSpec(
            defense=defense, network={"width": 8}, epochs=8, seed=seed, optimisation={"lr": 5e-3, "batch_size": 64}
        )
        run = TrainingRun(spec, digits)
        while not run.finished:
            run.step()
        found[name] = run.defense.model
    return found | {"rounded": Rounded(found["undefended"]), "saturated": Saturated(found["undefended"])}


def verdict_on(model, source, digits):
    images, labels = (tensor[:N] for tensor in on_device(digits.test, torch.device("cpu")))
    threats = []
    for column, settings in ATTACKS.items():
        attack = attack_spec(settings)
        for outcome in evaluate_attacked(model, model, images, labels, attack=attack, seed=0):
            threats.append(Threat(column, outcome.eps, attack, False, {0: outcome.correct}))
    attack = attack_spec(ATTACKS["pgd"] | {"eps": (0.1, 0.2)})
    crafted = craft(source, images, labels, attack=attack, seed=0, judge=CLASSIFICATION)
    for outcome in evaluate_transferred(model, crafted, images, labels, attack=attack, judge=CLASSIFICATION):
        threats.append(Threat("transfer", outcome.eps, attack, True, {0: outcome.correct}))
    clean = evaluate_clean(model, images, labels, judge=CLASSIFICATION).correct
    spec = MEASURES["gradients"].Spec()
    vanishing = measured(model, images, labels, spec=spec, seed=0, judge=CLASSIFICATION)["vanishing"]
    found = Evidence(frozenset({"default"}), tuple(threats), {0: clean}, {0: vanishing[np.asarray(clean)]})
    return verdict_of(found, metric="accuracy")


@pytest.mark.parametrize("name", ["undefended", "madry"])
def test_an_honest_model_bears_no_sign(name, models, digits):
    verdict = verdict_on(models[name], models["source"], digits)
    assert verdict.overall == "no sign", [check for check in verdict.checks if check.verdict != "passed"]


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("rounded", {"white box ≥ black box", "zero when unbounded", "gradients do not vanish"}),
        ("saturated", {"gradients do not vanish"}),
    ],
)
def test_a_model_that_masks_its_gradients_is_flagged(name, signs, models, digits):
    verdict = verdict_on(models[name], models["source"], digits)
    assert verdict.overall == RED_FLAG
    assert signs <= {check.name for check in verdict.checks if check.verdict == FAILED}
