"""Attacks by name, and what an attack offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError
from trainables.registry import Registry, names_of

Family = Literal["one-step", "iterative", "gradient-free", "ensemble"]


@dataclass(frozen=True)
class Attack:
    """An attack's settings and `craft(view, images, labels, *, eps, spec, goal, noise, stop_early)`.

    `craft` returns adversarial images [B, C, H, W] in [0, 1] and inside the eps ball, without a gradient. With
    `stop_early` it may leave an example as soon as the view is fooled; without, it runs to its end, which is what a
    transfer attack wants. `goal` holds the spec's criterion, and says when the view is fooled. `noise` is all the
    randomness that an attack of ours uses.

    An attack that `minimises` looks for the nearest image that fools instead: its images may lie outside the
    ball, so that one run tells the whole curve over eps (`eps` is then the largest that is asked for).
    """

    Spec: type[AttackSpec]
    craft: Callable[..., Tensor] | None  # None: a suite, which is run attack by attack
    family: Family
    minimises: bool = False


ATTACKS: Registry[Attack] = Registry("attack", "attacks", needs=names_of(Attack), config_of=lambda attack: attack.Spec)


def attack_spec(value: object) -> AttackSpec:
    """Build the AttackSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    built = ATTACKS.build(value)
    if not isinstance(built, AttackSpec):
        raise InputError(f"an attack must be a mapping with a name and an eps grid, got {value!r}")
    return built
