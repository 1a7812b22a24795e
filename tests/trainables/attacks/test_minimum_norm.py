"""What the attacks that look for the nearest misclassified image share: closed forms, peers, whole batches."""

import pytest
import torch
from evaluated import goal_of
from torch import nn

from trainables.attacks import ATTACKS
from trainables.attacks.norms import NORMS
from trainables.attacks.registry import attack_spec
from trainables.attacks.through_foolbox import foolbox
from trainables.errors import InputError
from trainables.evaluation.attacked import attack_batch
from trainables.runtime.modes import held

# name, norm, settings, and how much farther than the nearest point of the boundary it may end on a linear model
CLOSED_FORM = [
    ("ddn", "l2", {}, 0.01),
    ("cw", "l2", {"steps": 100, "search_steps": 9, "lr": 0.005, "initial_const": 0.01}, 0.03),
    ("deepfool", "l2", {}, 0.03),
    ("deepfool", "linf", {}, 0.035),
]
closed_form = pytest.mark.parametrize(
    ("name", "norm", "settings", "tolerance"), CLOSED_FORM, ids=[f"{name}-{norm}" for name, norm, *_ in CLOSED_FORM]
)

# name, norm, settings, the attack in foolbox, its settings, and how far apart the median distances may be
PEERS = [
    ("ddn", "l2", {"steps": 40}, "DDNAttack", {"steps": 40}, 0.001),
    (
        "cw",
        "l2",
        {"steps": 80, "search_steps": 2, "initial_const": 1.0},
        "L2CarliniWagnerAttack",
        {"steps": 80, "binary_search_steps": 2, "initial_const": 1.0},
        0.01,
    ),
    ("deepfool", "l2", {}, "L2DeepFoolAttack", {}, 0.001),
    ("deepfool", "linf", {}, "LinfDeepFoolAttack", {}, 0.001),
]
peers = pytest.mark.parametrize(
    ("name", "norm", "settings", "peer", "peer_settings", "tolerance"),
    PEERS,
    ids=[f"{name}-{norm}" for name, norm, *_ in PEERS],
)

minimising = pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.minimises])


@pytest.fixture(scope="module")
def cnn(trained):
    return trained("none").defense.model


@pytest.fixture(scope="module")
def digit(digits):
    """The first 24 test images in [0, 1], and their labels."""
    return torch.from_numpy(digits.test.pixels[:24]) / 255, torch.from_numpy(digits.test.labels[:24])


def attacked(name, view, images, labels, *, indices=None, **settings):
    attack = attack_spec({"name": name, "eps": [0.1]} | settings)
    indices = torch.arange(len(images)) if indices is None else indices
    with held(view):
        return attack_batch(
            view, images, labels, indices, attack, goal_of(attack.loss), eps=0.1, seed=0, stop_early=True
        )


@closed_form
@pytest.mark.parametrize("eot_samples", [1, 2])
def test_on_a_linear_model_it_finds_the_nearest_point_of_the_boundary(
    name, norm, settings, tolerance, eot_samples, linear
):
    images = linear.images / 255
    found = attacked(name, linear.model, images, linear.labels, norm=norm, eot_samples=eot_samples, **settings)
    assert (linear.model(found).argmax(1) != linear.labels).all()
    excess = NORMS[norm].size(found - images) / linear.nearest[norm] - 1
    assert excess.min() >= -1e-4
    assert excess.max() <= tolerance


@peers
def test_it_comes_as_near_as_foolboxs(name, norm, settings, peer, peer_settings, tolerance, cnn, digit):
    images, labels = digit
    found = attacked(name, cnn, images, labels, norm=norm, **settings)
    with held(cnn):
        theirs = getattr(foolbox().attacks, peer)(**peer_settings).run(
            foolbox().PyTorchModel(cnn, bounds=(0, 1), device="cpu"), images, labels
        )
        right, broken, broken_there = (cnn(x).argmax(1) != labels for x in (images, found, theirs))
    assert torch.equal(broken, broken_there)
    size, size_there = (NORMS[norm].size(x - images)[broken & ~right].median() for x in (found, theirs))
    assert size == pytest.approx(size_there.item(), rel=tolerance)


@pytest.mark.parametrize(
    ("name", "norm", "settings"),
    [
        ("ddn", "l2", {"steps": 40}),
        ("cw", "l2", {"steps": 100, "search_steps": 1, "initial_const": 0.5}),
        ("deepfool", "l2", {}),
        ("deepfool", "linf", {}),
    ],
)
def test_an_example_alone_comes_to_the_same_image(name, norm, settings, cnn, digit):
    """So whoever leaves the batch before it does not matter; rounding does, a little."""
    images, labels = digit[0][:4], digit[1][:4]
    together = attacked(name, cnn, images, labels, norm=norm, **settings)
    for i in range(4):
        alone = attacked(
            name, cnn, images[i : i + 1], labels[i : i + 1], indices=torch.tensor([i]), norm=norm, **settings
        )
        size, size_alone = (NORMS[norm].size(x - images[i : i + 1]) for x in (together[i : i + 1], alone))
        torch.testing.assert_close(size, size_alone, rtol=1e-3, atol=0)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-2)


class Constant(nn.Module):
    """Class 0, whatever it sees."""

    def forward(self, images):
        return images.flatten(1)[:, :3] * 0 + torch.tensor([1.0, 0.0, 0.5])


@minimising
def test_what_cannot_be_broken_comes_back_as_it_is(name):
    images, labels = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 0, 1])
    norm = ATTACKS[name].Spec.model_fields["norm"].default
    found = attacked(name, Constant(), images, labels, norm=norm, steps=12)
    assert torch.equal(found, images)
    assert found is not images


@minimising
def test_a_loss_that_it_does_not_go_by_is_refused(name):
    with pytest.raises(InputError, match=r"loss: input should be '(margin|cross_entropy)', got 'dlr'"):
        attack_spec({"name": name, "eps": [0.1], "loss": "dlr"})


@pytest.mark.parametrize("name", ["ddn", "cw"])
def test_a_norm_that_it_does_not_measure_is_refused(name):
    with pytest.raises(InputError, match="norm: input should be 'l2', got 'linf'"):
        attack_spec({"name": name, "eps": [0.1], "norm": "linf"})


class Watched(nn.Module):
    """A view that keeps what it is shown."""

    def __init__(self, model):
        super().__init__()
        self.model, self.shown = model, []

    def forward(self, images):
        self.shown.append(images.detach().clone())
        return self.model(images)


@pytest.mark.parametrize("steps", [7, 30])
@pytest.mark.parametrize("name", ["ddn", "cw"])
def test_it_returns_the_nearest_of_all_that_it_tried_the_last_one_included(name, steps, cnn, digit):
    image, label = digit[0][3:4], digit[1][3:4]
    view = Watched(cnn)
    settings = {"ddn": {"init_norm": 3.0}, "cw": {"lr": 0.3, "initial_const": 10.0, "search_steps": 2}}[name]
    found = attacked(name, view, image, label, norm="l2", steps=steps, **settings)
    tried = torch.cat(view.shown)
    fools = tried[cnn(tried).argmax(1) != label]
    assert len(fools) > 1
    nearest = fools[(fools - image).flatten(1).norm(dim=1).argmin()]
    torch.testing.assert_close(found[0], nearest)
