"""foolbox 3.3.4 (Rauber et al. 2020), for the attacks that we take from it; imported only when one of them is run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn


def foolbox() -> ModuleType:
    """Import foolbox as it stands: on a machine without git, and with a SciPy that warns of its imports."""
    before = os.environ.get("GIT_PYTHON_REFRESH")
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"  # its model zoo, which we do not use, needs a git
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import foolbox.attacks
    finally:
        del os.environ["GIT_PYTHON_REFRESH"]
        if before is not None:
            os.environ["GIT_PYTHON_REFRESH"] = before
    return foolbox


def run_foolbox(
    attack: str,
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    settings: dict[str, Any],
    **arguments: Any,
) -> Tensor:
    """Run foolbox's `attack`, built with `settings`, and return what it returns; other `arguments` are its run's.

    Its randomness is torch's global generator, which is seeded and put back. It goes backward into every parameter
    that wants a gradient, and what stood there is put back too.
    """
    library = foolbox()
    shell = nn.Sequential(view)
    shell.training = False  # foolbox warns of a view in training mode, whatever the model within is in
    with _contained(view, images.device, seed):
        model = library.PyTorchModel(shell, bounds=(0, 1), device=images.device)
        return getattr(library.attacks, attack)(**settings).run(model, images, labels, **arguments)


@contextmanager
def _contained(view: nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    gradients = [(parameter, parameter.grad) for parameter in view.parameters()]
    try:
        for parameter, _ in gradients:
            parameter.grad = None
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient
