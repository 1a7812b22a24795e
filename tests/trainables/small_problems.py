"""What the tests of the baselines share: a linear problem with closed forms, and short trainings on the digits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task
from trainables.networks.spec import NetworkSpec
from trainables.networks.staged import Staged
from trainables.runtime.randomness import seeded

CPU = torch.device("cpu")


@dataclass(frozen=True)
class LinearProblem:
    """Two classes and logits W x + b, in float64; E(x) is x itself, flattened.

    Images [12, 1, 4, 4] stay .3 away from the bounds of [0, 1]. `margin` [12] is the logit of the label minus the
    other; the mean cross-entropy is the mean of softplus(-margin), and eps in the l-infinity norm takes
    eps * `dual` from every margin.
    """

    model: Staged
    images: Tensor
    labels: Tensor
    margin: Tensor
    dual: Tensor


def linear_problem() -> LinearProblem:
    with seeded(3, CPU):
        model = Staged({"flat": nn.Flatten()}, nn.Linear(16, 2), (1, 4, 4)).double()
        images = 0.3 + 0.4 * torch.rand(12, 1, 4, 4, dtype=torch.float64)
        labels = torch.randint(0, 2, (12,))
    normal = (model.head.weight[1] - model.head.weight[0]).detach()
    logits = model(images).detach()
    margin = (logits[:, 1] - logits[:, 0]) * (2 * labels - 1)
    return LinearProblem(model, images, labels, margin, normal.abs().sum())


def normalised_network() -> Staged:
    """A network in float64 whose BatchNorm tells how many batches it has seen."""
    with seeded(4, CPU):
        body = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6), nn.Tanh())
        return Staged({"body": body}, nn.Linear(6, 3), (1, 4, 4)).double()


def batches_seen(model: nn.Module) -> int:
    return sum(int(m.num_batches_tracked) for m in model.modules() if isinstance(m, nn.BatchNorm1d))


def examples(count=10, classes=3):
    """Images [count, 1, 4, 4] in [0, 1], float64, and labels."""
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(count, 1, 4, 4, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, classes, (count,), generator=generator)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(part, count=None):
    return torch.from_numpy(part.pixels[:count]), torch.from_numpy(part.labels[:count])


def untrained(defense, digits, *, network="cnn3", width=3, epochs=2, optimisation=None, **settings):
    """Build a defense for the digits; return it with its optimisation."""
    optimisation = OptimisationSpec(**({"lr": 5e-3, "batch_size": 64} | (optimisation or {})))
    task = Task(digits.shape, digits.outputs, NetworkSpec(name=network, width=width), optimisation, epochs, CPU)
    return defense(defense.Config(**settings), task), optimisation


def trained(defense, digits, *, count=192, epochs=2, **settings):
    """Train a defense on the first digits; return it and its history."""
    with seeded(0, CPU):
        made, optimisation = untrained(defense, digits, epochs=epochs, **settings)
        batches = Batches(*pixels(digits.train, count), optimisation, generator())
        made.prepare(batches)
        return made, [one_epoch(made, batches) for _ in range(epochs)]


def one_epoch(defense, batches):
    defense.model.train()
    return defense.train_epoch(batches)


def weights(module):
    """Return a copy of a module's state."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(one, other):
    """Return whether two states have the same names and tensors."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_weights(one, other):
    return equal(one.model.state_dict(), other.model.state_dict())
