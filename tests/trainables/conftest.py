"""A linear problem whose nearest adversarial points are known, trained runs, and a state's way through a store."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import safetensors.torch
import torch
from gentle import gentle
from torch import Tensor, nn

from trainables.evaluation import attacked, clean, transferred
from trainables.runtime.statetree import pack, unpack
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun


@dataclass(frozen=True)
class Linear:
    """Two classes, logits W x + b. `nearest[norm]` [N]: the distance of each image to the decision boundary.

    No image is nearer to the bounds of [0, 1] than 0.3, and no boundary farther, so the box plays no part.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    nearest: dict[str, Tensor]

    def grid(self, norm: str, slack: float = 0.05) -> tuple[float, ...]:
        """Return eps just below and just above each boundary, leaving out what is just beside another one."""
        nearest = self.nearest[norm]
        around = sorted(float(d) * side for d in nearest for side in (1 - slack, 1 + slack))
        return tuple(e for e in around if ((e / nearest - 1).abs() > slack * 0.9).all())


@pytest.fixture(scope="session")
def linear() -> Linear:
    generator = torch.Generator().manual_seed(12)
    images = torch.randint(80, 176, (8, 1, 6, 6), generator=generator, dtype=torch.uint8)
    weight = torch.randn(2, 36, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    flat, normal = images.flatten(1) / 255, weight[1] - weight[0]
    bias = torch.stack([(flat @ normal).mean(), torch.tensor(0.0)])
    model.load_state_dict({"1.weight": weight, "1.bias": bias})
    margin = flat @ normal - bias[0]
    duals = {"linf": normal.abs().sum(), "l2": normal.norm(), "l1": normal.abs().max()}
    nearest = {norm: margin.abs() / dual for norm, dual in duals.items()}
    return Linear(model, images, (margin > 0).long(), nearest)


@pytest.fixture(scope="session")
def trained(digits) -> Callable[[str], TrainingRun]:
    """Train a defense on the digits, once a session; the run is shared and not to be changed."""

    @functools.cache
    def train(defense: str) -> TrainingRun:
        optimisation = {"lr": 5e-3, "batch_size": 64}
        spec = TrainingSpec(defense=gentle(defense), network={"width": 8}, epochs=4, optimisation=optimisation)
        run = TrainingRun(spec, digits)
        while not run.finished:
            run.step()
        return run

    return train


@pytest.fixture
def batches_of(monkeypatch) -> Callable[[int], None]:
    """Have evaluations classify and attack so many images at a time."""

    def set_size(size: int) -> None:
        for module in (attacked, clean, transferred):
            monkeypatch.setattr(module, "BATCH", size)

    return set_size


@pytest.fixture(scope="session")
def stored() -> Callable[[Any], Any]:
    """Send a state to safetensors and JSON and back."""

    def through(state: Any) -> Any:
        tensors, skeleton = pack(state)
        return unpack(safetensors.torch.load(safetensors.torch.save(tensors)), json.loads(json.dumps(skeleton)))

    return through
