"""An attack: a random corner of the cube, drawn into the ball; it asks the view nothing."""

from typing import Literal

from trainables.attacks import NORMS, Attack, AttackSpec


class CornerSpec(AttackSpec):
    """One random corner."""

    name: Literal["corner"] = "corner"


def _corner(view, images, labels, *, eps, spec, goal, noise, stop_early):
    delta = NORMS[spec.norm].project(noise.draw(0).sign(), eps)
    return (images + delta).clamp(0, 1)


CORNER = Attack(CornerSpec, _corner, "gradient-free")
