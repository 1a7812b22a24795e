"""Our attacks beside those of torchattacks, foolbox and ART: the same models, images and settings, in one run.

    pip install --no-deps --target PEERS torchattacks adversarial-robustness-toolbox
    PYTHONPATH=PEERS pytest -m benchmark -s tests/benchmarks/test_attack_speed.py

The two peers stand beside the environment and not in it: torchattacks pins requests of 2020 and ART an older NumPy
than ours is tested with. A peer that is absent is left out, and the table names those that were there.

Two threads. Seconds are the processor's, of both threads together, as other processes lengthen those of the clock;
the least of the rounds, which alternate. The parameters are frozen for all, which spares the peers their gradients.
"""

import importlib
import importlib.metadata
import warnings
from dataclasses import dataclass

import pytest
import torch

from trainables.evaluation import as_float, frozen
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(0), pytest.mark.filterwarnings("ignore")]

THREADS = 2
PEERS = {"torchattacks": "torchattacks", "foolbox": "foolbox", "art": "adversarial-robustness-toolbox"}
TRAINING = {
    "undefended": ({"name": "none"}, 6),
    "robust": ({"name": "madry", "attack": {"eps": (0.02, 0.2), "steps": 5, "relative_step": 0.35}}, 15),
}


def peer(name):
    """Return a peer's module and its version; None if it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name), importlib.metadata.version(PEERS[name])
    except ModuleNotFoundError:
        return None


@dataclass(frozen=True)
class Problem:
    """A network in evaluation mode without gradients of parameters, and test images it is attacked on."""

    name: str
    model: torch.nn.Module
    pixels: torch.Tensor
    labels: torch.Tensor

    @property
    def images(self):
        return as_float(self.pixels)

    def first(self, count):
        return Problem(self.name, self.model, self.pixels[:count], self.labels[:count])


@pytest.fixture(scope="module", params=TRAINING)
def problem(request, digits):
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    defense, epochs = TRAINING[request.param]
    optimisation = {"lr": 2e-3, "batch_size": 64}
    spec = TrainingSpec(defense=defense, network={"width": 32}, epochs=epochs, optimisation=optimisation)
    run = TrainingRun(spec, digits)
    while not run.finished:
        run.step()
    pixels, labels = (torch.from_numpy(array[:256]) for array in (digits.test.pixels, digits.test.labels))
    with frozen(run.defense.model):
        yield Problem(request.param, run.defense.model, pixels, labels)
    torch.set_num_threads(before)
