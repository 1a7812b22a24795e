"""An attack run by name, and a problem on which an ascent may step over a boundary and back."""

import torch
from evaluated import goal_of
from torch import nn

from trainables.attacks import ATTACKS
from trainables.attacks.noise import Noise
from trainables.attacks.registry import attack_spec


class Wave(nn.Module):
    """Class 1 where cos(k sum x) is negative: many boundaries, so an ascent may step over one and back."""

    def forward(self, images):
        wave = torch.cos(25 * images.flatten(1).sum(1))
        return torch.stack([wave, -wave], 1)


class Watched(nn.Module):
    """A view that keeps the images it was shown, pass by pass."""

    def __init__(self, view):
        super().__init__()
        self.view, self.seen = view, []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.view(images)


def wave_problem(count=40):
    images = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    return Wave(), images, Wave()(images).argmax(1)


def noise_of(count, shape=(1, 2, 2)):
    return Noise(torch.arange(count), shape, seed=0)


def craft(name, model, images, labels, *, eps, noise=None, stop_early=False, **settings):
    attack = attack_spec({"name": name, "eps": [eps]} | settings)
    noise = noise or noise_of(len(images), tuple(images.shape[1:]))
    return (
        ATTACKS[name]
        .craft(
            model, images, labels, eps=eps, spec=attack, goal=goal_of(attack.loss), noise=noise, stop_early=stop_early
        )
        .detach()
    )
