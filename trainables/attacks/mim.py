"""MIM: BIM along an accumulated gradient, which smooths its direction (Dong et al. 2018, MI-FGSM)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from trainables.attacks.ascent import SteppedSpec, ascend
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS


class MimSpec(SteppedSpec):
    """Momentum iterative method: `decay` is the paper's mu (default step: eps / steps)."""

    name: Literal["mim"] = "mim"
    norm: Literal["linf", "l2"] = "linf"
    decay: float = Field(
        1.0, gt=0, description="factor of the accumulated gradient in each step (the paper calls it mu)"
    )


def mim(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: MimSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return the images after all steps, each clipped to the ball and to [0, 1] (Algorithm 1)."""
    return ascend(
        view,
        images,
        labels,
        eps=eps,
        ball=NORMS[spec.norm],
        loss=goal.loss,
        steps=spec.steps,
        step=spec.step(eps),
        decay=spec.decay,
        fooled=goal.fooled if stop_early else None,
    )
