"""FGSM: one step of size eps along the steepest direction (Goodfellow et al. 2015)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from trainables.attacks.ascent import ascend
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec


class FgsmSpec(AttackSpec):
    """One step of size eps along the steepest direction."""

    name: Literal["fgsm"] = "fgsm"


def fgsm(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: FgsmSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return images + eps * steepest direction, clipped to [0, 1]."""
    return ascend(
        view,
        images,
        labels,
        eps=eps,
        ball=NORMS[spec.norm],
        loss=goal.loss,
        steps=1,
        step=eps,
        fooled=goal.fooled if stop_early else None,
    )
