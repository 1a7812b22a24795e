"""Attacks by name: what each can be told, and its function. Adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from trainables.attacks.ascent import FgsmSpec, PgdSpec, fgsm, pgd
from trainables.specs import AttackSpec


@dataclass(frozen=True)
class Attack:
    """An attack's settings and `craft(view, images, labels, *, eps, spec, starts, stop_early)`.

    `craft` returns adversarial images [B, C, H, W] inside the ball and [0, 1]. `starts(restart)` gives the
    noise of a random start. With `stop_early` it may leave an example as soon as the view misclassifies it;
    without, it runs to its end, which is what a transfer attack wants.
    """

    Spec: type[AttackSpec]
    craft: Callable[..., Tensor]


ATTACKS: dict[str, Attack] = {"fgsm": Attack(FgsmSpec, fgsm), "pgd": Attack(PgdSpec, pgd)}
