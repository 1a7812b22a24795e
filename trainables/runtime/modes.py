"""Holding a model still while it is evaluated or attacked, and putting back what was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def held(*models: nn.Module) -> Iterator[None]:
    """Hold models in evaluation mode without gradients of parameters, and restore both."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    gradients = [(p, p.requires_grad) for model in models for p in model.parameters()]
    try:
        for model in models:
            model.eval()
            model.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, wanted in gradients:
            parameter.requires_grad_(wanted)
