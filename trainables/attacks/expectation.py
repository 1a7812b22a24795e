"""Expectation over transformation: a stochastic view, averaged over its draws (Athalye et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Expected(nn.Module):
    """The log of a view's mean softmax over `samples` draws, so that any attack of logits attacks the expectation.

    Athalye et al. raise E[log p]; here it is log E[p], which is what a prediction by the mean softmax goes by.
    A draw is computed again for its gradient, so that the memory is that of one draw.
    """

    def __init__(self, view: nn.Module, samples: int) -> None:
        super().__init__()
        self.view, self.samples = view, samples

    def forward(self, images: Tensor) -> Tensor:
        draws = [checkpoint(self._draw, images, use_reentrant=False) for _ in range(self.samples)]
        return torch.stack(draws).logsumexp(0) - math.log(self.samples)

    def _draw(self, images: Tensor) -> Tensor:
        return self.view(images).log_softmax(1)
