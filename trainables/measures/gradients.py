"""The loss gradient at the images: how large it is, whether it vanishes and how much its draws agree.

A defense whose gradients vanish passes attacks that follow them without being robust (Athalye et al. 2018).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, field_validator, model_validator
from torch import Tensor, nn

from trainables.attacks.criteria import CRITERIA, check_reads
from trainables.attacks.criterion import Criterion
from trainables.evaluation.clean import is_stochastic
from trainables.evaluation.outcome import BATCH
from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.spec import MeasureSpec

TINY = 1e-300  # float64


class GradientsSpec(MeasureSpec):
    """The gradient of `loss` with respect to images in [0, 1], in float32, through `view`.

    Below the default `vanishing_below` a change of every pixel of a 32x32 colour image by 1 changes the loss by
    less than 4e-5, to first order. Cross-entropy also vanishes for a plain model that is sure of itself, whose
    probability of the label rounds to 1; `margin` and `dlr` do not.
    """

    name: Literal["gradients"] = "gradients"
    loss: str = Field("cross_entropy", description="the criterion whose gradient is measured, as an attack's")
    draws: int = Field(5, ge=2, description="gradients of a stochastic view; another has one")
    vanishing_below: PositiveFloat = Field(1e-8, description="of the entry of largest absolute value")

    @field_validator("loss")
    @classmethod
    def _known_criterion(cls, value: str) -> str:
        return CRITERIA.checked(value)

    @model_validator(mode="after")
    def _criterion_of_its_view(self) -> GradientsSpec:
        check_reads(self.loss, self.view)
        return self


def loss_gradients(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: GradientsSpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Return for each example [N] the gradient's `l2_norm` and `linf_norm`, both the mean over draws, and:

    - `zero`: whether all its entries are exactly 0, in every draw
    - `vanishing`: whether `linf_norm` is below `spec.vanishing_below`; a gradient that is zero vanishes
    - `draw_cosine`, of a stochastic view: the mean cosine between two of its draws, 0 for a draw that is zero
    """
    draws = spec.draws if is_stochastic(view, images) else 1
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    parts = [_batch(view, as_float(pixels), target, spec, draws) for pixels, target in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _batch(view: nn.Module, images: Tensor, labels: Tensor, spec: GradientsSpec, draws: int) -> dict[str, np.ndarray]:
    criterion = CRITERIA[spec.loss]
    # float64 from here on: squares of small entries would underflow.
    each = [_gradient(view, images, labels, criterion).double().flatten(1) for _ in range(draws)]
    l2 = torch.stack([g.norm(dim=1) for g in each])  # [draws, B]
    linf = torch.stack([g.abs().amax(1) for g in each])
    values = {
        "l2_norm": l2.mean(0),
        "linf_norm": linf.mean(0),
        "zero": (linf == 0).all(0),
        "vanishing": linf.mean(0) < spec.vanishing_below,
    }
    if draws > 1:
        values["draw_cosine"] = _cosine(torch.stack(each) / l2.clamp_min(TINY)[..., None])
    return {name: value.cpu().numpy() for name, value in values.items()}


def _gradient(view: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion) -> Tensor:
    """Return the gradient [B, C, H, W] of the batch's summed loss: what an attack of this batch would follow."""
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(criterion.loss(view(images), labels).sum(), images)
    return gradient


def _cosine(units: Tensor) -> Tensor:
    """Return the mean [B] of u_i . u_j over i != j, for vectors [draws, B, D] of length 1 or 0."""
    draws = len(units)
    among_all = units.sum(0).square().sum(1) - units.square().sum((0, 2))
    return among_all / (draws * (draws - 1))
