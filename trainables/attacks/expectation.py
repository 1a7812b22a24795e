"""Expectation over transformation: a stochastic view, averaged over its draws (Athalye et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.judges import Judge


class Expected(nn.Module):
    """What a judge expects of `samples` draws of a view, so that any attack of its output attacks the expectation.

    Of logits it is the log of the mean softmax: Athalye et al. raise E[log p]; here it is log E[p], which is what a
    prediction by the mean softmax goes by.
    A draw is computed again for its gradient, so that the memory is that of one draw.
    """

    def __init__(self, view: nn.Module, samples: int, judge: Judge) -> None:
        super().__init__()
        self.view, self.samples, self._judge = view, samples, judge

    def forward(self, images: Tensor) -> Tensor:
        draws = [checkpoint(self.view, images, use_reentrant=False) for _ in range(self.samples)]
        return self._judge.expect(torch.stack(draws))
