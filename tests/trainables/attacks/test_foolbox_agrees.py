"""Foolbox's attacks at equal settings leave as many examples unbroken, but for chance.

Its random starts are other ones, and its momentum adds up signs where the paper adds up gradients, so an example here
and there falls to one of the two only: McNemar's exact test on the examples that they disagree on.
"""

import numpy as np
import pytest
import torch
from evaluated import evaluate_attacked
from scipy import stats

from trainables.attacks.registry import attack_spec

pytestmark = pytest.mark.slow

foolbox = pytest.importorskip("foolbox")

EPS = {"linf": (0.04, 0.08, 0.15), "l2": (0.5, 1.0, 2.0), "l1": (5.0, 10.0, 20.0)}
PEERS = {
    "bim-linf": (foolbox.attacks.LinfBasicIterativeAttack, {"steps": 10, "rel_stepsize": 0.1}),
    "bim-l2": (foolbox.attacks.L2BasicIterativeAttack, {"steps": 10, "rel_stepsize": 0.1}),
    "bim-l1": (foolbox.attacks.L1BasicIterativeAttack, {"steps": 10, "rel_stepsize": 0.1}),
    "mim-linf": (foolbox.attacks.LinfMomentumIterativeFastGradientMethod, {"steps": 10, "rel_stepsize": 0.1}),
    "mim-l2": (foolbox.attacks.L2MomentumIterativeFastGradientMethod, {"steps": 10, "rel_stepsize": 0.1}),
    "pgd-linf": (foolbox.attacks.LinfProjectedGradientDescentAttack, {"steps": 10, "rel_stepsize": 0.25}),
    "pgd-l2": (foolbox.attacks.L2ProjectedGradientDescentAttack, {"steps": 10, "rel_stepsize": 0.25}),
    "pgd-l1": (foolbox.attacks.SparseL1DescentAttack, {"steps": 10, "rel_stepsize": 0.25, "random_start": True}),
}


@pytest.mark.parametrize("case", PEERS)
def test_robust_accuracy_agrees_with_foolbox(case, trained, digits):
    name, norm = case.split("-")
    peer, settings = PEERS[case]
    model = trained("none").defense.model.eval()
    images, labels = torch.from_numpy(digits.test.pixels[:150]), torch.from_numpy(digits.test.labels[:150])
    attack = attack_spec({"name": name, "norm": norm, "eps": EPS[norm], "steps": 10})
    ours = np.stack([o.correct for o in evaluate_attacked(model, model, images, labels, attack=attack, seed=0)])
    torch.manual_seed(0)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, _, broken = peer(**settings)(bounded, images / 255, labels, epsilons=EPS[norm])
    model.zero_grad(set_to_none=True)  # foolbox leaves gradients behind
    theirs = ~broken.numpy()
    assert ours[0].mean() > ours[-1].mean() + 0.2  # the eps are where it matters
    for mine, other in zip(ours, theirs, strict=True):
        only_one, only_other = int((mine & ~other).sum()), int((other & ~mine).sum())
        disagree = only_one + only_other
        assert disagree <= 0.1 * len(labels)
        assert disagree == 0 or stats.binomtest(only_one, disagree).pvalue > 1e-3
