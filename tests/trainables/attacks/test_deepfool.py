import pytest
import torch
from evaluated import goal_of
from torch import nn

from trainables.attacks.deepfool import DeepFoolSpec, deepfool
from trainables.attacks.noise import Noise
from trainables.runtime.modes import held


def search(view, images, labels, **settings):
    noise = Noise(torch.arange(len(images)), tuple(images.shape[1:]), seed=0)
    spec = DeepFoolSpec(eps=(0.1,), **settings)
    with held(view):
        return deepfool(view, images, labels, eps=0.1, spec=spec, goal=goal_of(), noise=noise, stop_early=True)


@pytest.fixture(scope="module")
def five_classes():
    """A linear model, 20 grey images, and the distances [20, 5] to each boundary of the class they are in."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    model[1].weight.data = torch.randn(5, 16, generator=generator)
    model[1].bias.data = torch.zeros(5)
    images = 0.5 + 0.1 * torch.rand(20, 1, 4, 4, generator=generator)
    with torch.no_grad():
        logits = model(images)
    labels = logits.argmax(1)
    gaps = logits.gather(1, labels[:, None]) - logits
    normals = model[1].weight[None] - model[1].weight[labels][:, None]
    return model, images, labels, gaps, normals.detach()


SIZES = {
    "l2": (lambda normal: normal.norm(dim=2), lambda delta: delta.flatten(1).norm(dim=1)),
    "linf": (lambda normal: normal.abs().sum(2), lambda delta: delta.flatten(1).abs().amax(1)),
}


@pytest.mark.parametrize("overshoot", [0.02, 0.2])
@pytest.mark.parametrize("candidates", [None, 10, 3, 2])
@pytest.mark.parametrize("norm", SIZES)
def test_one_step_goes_over_the_nearest_boundary_among_the_likeliest_classes(norm, candidates, overshoot, five_classes):
    """Eqs. 8 and 11: |f_k - f_y| / |w_k - w_y|_dual, at its least; on a linear model, one step is enough."""
    model, images, labels, gaps, normals = five_classes
    dual, size = SIZES[norm]
    found = search(model, images, labels, norm=norm, candidates=candidates, overshoot=overshoot, steps=1)
    distances = gaps / dual(normals).clamp_min(1e-9)
    asked = gaps.argsort(1)[:, 1:candidates]
    expected = (1 + overshoot) * (distances.gather(1, asked).amin(1) + 1e-4)
    torch.testing.assert_close(size(found - images), expected, rtol=1e-4, atol=0)
    assert (model(found).argmax(1) != labels).all()


def test_fooled_examples_leave_the_batch(trained, digits):
    images, labels = torch.from_numpy(digits.test.pixels[:32]) / 255, torch.from_numpy(digits.test.labels[:32])
    sizes = []

    class Watched(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            sizes.append(len(x))
            return self.model(x)

    search(Watched(trained("none").defense.model), images, labels, norm="l2")
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes[1:])) > 2
