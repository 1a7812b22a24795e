"""BIM: FGSM in steps of eps / steps from the image itself (Kurakin et al. 2017); I-FGSM is its other name."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from trainables.attacks.ascent import SteppedSpec, ascend
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norm import unit
from trainables.attacks.norms import NORMS

# L1 as the papers ran it (Foolbox): along the whole gradient divided by its L1 norm, which is not the steepest
# direction; a weak attack. `pgd` is the stronger one in L1.
L1_BALL = replace(NORMS["l1"], steepest=lambda g: unit(g, NORMS["l1"].size), sparse=False)


class BimSpec(SteppedSpec):
    """Basic iterative method: no random start (default step: eps / steps)."""

    name: Literal["bim"] = "bim"


class IfgsmSpec(SteppedSpec):
    """The same attack under the name that wnll's authors give it."""

    name: Literal["ifgsm"] = "ifgsm"


def bim(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: BimSpec | IfgsmSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return the images after all steps, each clipped to the ball and to [0, 1]."""
    return ascend(
        view,
        images,
        labels,
        eps=eps,
        ball=L1_BALL if spec.norm == "l1" else NORMS[spec.norm],
        loss=goal.loss,
        steps=spec.steps,
        step=spec.step(eps),
        fooled=goal.fooled if stop_early else None,
    )
