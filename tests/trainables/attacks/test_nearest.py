import torch
from evaluated import goal_of

from trainables.attacks.nearest import Nearest, nearest_by
from trainables.attacks.noise import Noise

NOISE = Noise(torch.arange(10, 14), (1, 1, 2), seed=5)


def first_pixel(images):
    """Two classes: is the first pixel brighter than the second?"""
    return images.flatten(1)


def attacked(labels, search):
    images = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]).reshape(4, 1, 1, 2)
    attack = nearest_by(search)
    return images, attack(
        first_pixel, images, torch.tensor(labels), eps=0.1, spec=None, goal=goal_of(), noise=NOISE, stop_early=True
    )


def test_only_what_the_view_gets_right_is_searched_and_the_rest_comes_back_as_it_is():
    seen = []

    def search(view, images, labels, *, spec, goal, noise):
        seen.append((images, labels, noise.indices.tolist()))
        return images / 2

    images, found = attacked([1, 1, 0, 1], search)
    ((shown, labels, indices),) = seen
    assert torch.equal(shown, images[[0, 3]])
    assert labels.tolist() == [1, 1]
    assert indices == [10, 13]
    assert torch.equal(found, torch.stack([images[0] / 2, images[1], images[2], images[3] / 2]))


def test_nothing_is_searched_where_all_is_misclassified():
    images, found = attacked([0, 1, 0, 0], search=None)
    assert torch.equal(found, images)
    assert found is not images


def test_what_fools_and_is_nearer_is_kept():
    origin = torch.zeros(3, 1, 1, 1)
    nearest = Nearest(origin)
    assert nearest.sizes.tolist() == [torch.inf] * 3

    def offer(where, values, fooled):
        values = torch.tensor(values)
        nearest.offer(torch.tensor(where), values.reshape(-1, 1, 1, 1), values, torch.tensor(fooled))

    offer([0, 1, 2], [0.5, 0.6, 0.7], [True, False, True])
    offer([2, 0], [0.6, 0.8], [True, True])
    offer([2], [0.1], [False])
    assert nearest.images.flatten().tolist() == torch.tensor([0.5, 0, 0.6]).tolist()
    assert nearest.sizes.tolist() == torch.tensor([0.5, torch.inf, 0.6]).tolist()
    assert (origin == 0).all()
