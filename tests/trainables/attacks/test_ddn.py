import math

import torch
from evaluated import goal_of
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.attacks.ddn import DdnSpec, ddn
from trainables.attacks.noise import Noise


def search(view, images, labels, *, seed=0, **settings):
    noise = Noise(torch.arange(len(images)), tuple(images.shape[1:]), seed)
    spec = DdnSpec(eps=(0.1,), **settings)
    return ddn(view, images, labels, eps=0.1, spec=spec, goal=goal_of(), noise=noise, stop_early=True)


def test_the_iterates_follow_the_algorithm(linear):
    """Algorithm 1 with the authors' cosine, written out for one image; the box plays no part."""
    shown = []

    class Watched(nn.Module):
        def forward(self, images):
            shown.append(images.detach().clone())
            return linear.model(images)

    image, label = linear.images[:1] / 255, linear.labels[:1]
    search(Watched(), image, label, steps=6, gamma=0.2, init_norm=0.1)
    delta, norm, expected = torch.zeros_like(image), 0.1, [image, image]  # once to see whether it stands
    for k in range(6):
        x = (image + delta).requires_grad_()
        logits = linear.model(x)
        cross_entropy(logits, label).backward()
        alpha = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * k / 6))
        delta = delta + alpha * x.grad / x.grad.norm()
        norm *= 0.8 if logits.argmax() != label else 1.2
        delta = delta * norm / delta.norm()
        expected.append(image + delta)
    torch.testing.assert_close(torch.cat(shown), torch.cat(expected), rtol=0, atol=1e-6)


class Plateau(nn.Module):
    """Class 1 is farther than .3 from the middle; until .2 there is no gradient."""

    def forward(self, images):
        beyond = ((images - 0.5).flatten(1).norm(dim=1) - 0.2).clamp_min(0)
        return torch.stack([torch.full_like(beyond, 0.1), beyond], 1)


def test_where_there_is_no_gradient_it_leaves_in_a_random_direction_of_the_examples_own():
    images, labels = torch.full((2, 1, 3, 3), 0.5), torch.zeros(2, dtype=torch.long)
    found = search(Plateau(), images, labels)
    size = (found - images).flatten(1).norm(dim=1)
    assert ((size > 0.3) & (size < 0.31)).all()
    assert torch.equal(found, search(Plateau(), images, labels))
    assert not torch.allclose(found[0], found[1], atol=1e-2)
    assert not torch.allclose(found, search(Plateau(), images, labels, seed=1), atol=1e-2)


def test_no_norm_exceeds_that_of_the_farthest_image():
    """An image all of whose pixels lie .75 from the other end; the boundary is .7 from it, in each of four pixels."""

    class Far(nn.Module):
        def forward(self, images):
            margin = images.flatten(1).sum(1) - 4 * 0.95
            return torch.stack([-margin, margin], 1)

    images = torch.full((1, 1, 2, 2), 0.25)
    found = search(Far(), images, torch.tensor([0]), init_norm=50.0)
    assert (found - images).norm().item() < 4**0.5 * 0.7 * 1.01
