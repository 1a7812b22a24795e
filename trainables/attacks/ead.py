"""EAD, the elastic-net attack in L1 (Chen et al., AAAI 2018), as implemented in foolbox."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from trainables.attacks.goal import Goal
from trainables.attacks.nearest import nearest_by
from trainables.attacks.noise import Noise
from trainables.attacks.spec import AttackSpec
from trainables.attacks.through_foolbox import run_foolbox


class EadSpec(AttackSpec):
    """C&W's loss with `regularization` x the L1 norm, by shrinkage-thresholding, and a search for c.

    Defaults are Foolbox's, but for the steps: 1,000 in place of 10,000.
    """

    name: Literal["ead"] = "ead"
    norm: Literal["l1"] = "l1"
    loss: Literal["margin"] = "margin"
    steps: PositiveInt = Field(1000, description="for each constant")
    lr: PositiveFloat = Field(0.01, description="learning rate")
    initial_const: PositiveFloat = Field(1e-3, description="first constant c, the weight of the margin")
    search_steps: PositiveInt = Field(9, description="constants that the binary search tries")
    confidence: float = Field(0.0, ge=0, description="margin by which a class must be wrong (the paper calls it kappa)")
    regularization: PositiveFloat = Field(0.01, description="the paper calls it beta")


@nearest_by
def ead(view: nn.Module, images: Tensor, labels: Tensor, *, spec: EadSpec, goal: Goal, noise: Noise) -> Tensor:
    """Return the image nearest in L1 that fools, or the original."""
    settings = {
        "binary_search_steps": spec.search_steps,
        "steps": spec.steps,
        "initial_stepsize": spec.lr,
        "confidence": spec.confidence,
        "initial_const": spec.initial_const,
        "regularization": spec.regularization,
        "decision_rule": "L1",
    }
    found = run_foolbox("EADAttack", view, images, labels, seed=noise.seed, settings=settings).detach().clamp(0, 1)
    with torch.no_grad():
        fooled = goal.fooled(view(found), labels)
    return torch.where(fooled[:, None, None, None], found, images)
