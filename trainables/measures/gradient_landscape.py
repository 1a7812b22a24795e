"""How steeply the loss changes from each class towards each other class (afd, Figure 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.criteria import check_reads
from trainables.evaluation.outcome import BATCH
from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.spec import MeasureSpec


class GradientLandscapeSpec(MeasureSpec):
    """The gradient of cross-entropy towards every class, through a view that gives logits."""

    name: Literal["gradient_landscape"] = "gradient_landscape"

    @model_validator(mode="after")
    def _of_logits(self) -> GradientLandscapeSpec:
        check_reads("cross_entropy", self.view)
        return self


def landscape(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: GradientLandscapeSpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Return `log_gradient` [K, K]: log10 of the mean L2 norm of d CE(f(x), j) / dx over the examples x of class i.

    The figure's norm is not given; L2 is ours. `log_gradient_own` and `log_gradient_other` are the same of the mean
    over i = j and over i != j. A class without examples has a row of NaN and counts in neither.
    """
    batches = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    norms, target = zip(*((_norms(view, as_float(pixels)), y.cpu()) for pixels, y in batches), strict=True)
    sizes, classes = torch.cat(norms), torch.cat(target)  # [N, K], [N]
    rows = [sizes[classes == i].mean(0) for i in range(sizes.shape[1])]
    mean = torch.stack(rows).numpy()  # NaN of no example
    own = np.eye(len(mean), dtype=bool)
    with np.errstate(divide="ignore"):  # a gradient of 0 has the logarithm -inf
        return {
            "log_gradient": np.log10(mean),
            "log_gradient_own": np.log10(np.nanmean(mean[own])),
            "log_gradient_other": np.log10(np.nanmean(mean[~own])),
        }


def _norms(view: nn.Module, images: Tensor) -> Tensor:
    """Return |d CE(f(x), j) / dx| for every example and class [B, K], on the CPU in float64."""
    images = images.requires_grad_()
    logits = view(images)
    found = []
    for j in range(logits.shape[1]):
        loss = cross_entropy(logits, torch.full((len(images),), j, device=images.device), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images, retain_graph=True)
        found.append(gradient.double().flatten(1).norm(dim=1).cpu())
    return torch.stack(found, 1)
