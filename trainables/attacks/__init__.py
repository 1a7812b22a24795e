"""Attacks by name: what each can be told, and its function. Adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trainables.attacks.autoattack import AutoAttackSpec, autoattack
from trainables.attacks.bim import BimSpec, IfgsmSpec, bim
from trainables.attacks.boundary import BoundarySpec, boundary
from trainables.attacks.cw import CwSpec, cw
from trainables.attacks.daa import DaaSpec, daa
from trainables.attacks.ddn import DdnSpec, ddn
from trainables.attacks.deepfool import DeepFoolSpec, deepfool
from trainables.attacks.ead import EadSpec, ead
from trainables.attacks.fgsm import FgsmSpec, fgsm
from trainables.attacks.gaussian_noise import GaussianNoiseSpec, gaussian_noise
from trainables.attacks.mim import MimSpec, mim
from trainables.attacks.pgd import PgdSpec, pgd
from trainables.attacks.registry import ATTACKS, attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.attacks.spsa import SpsaSpec, spsa
from trainables.attacks.suite import SuiteSpec

Family = Literal["one-step", "iterative", "gradient-free", "ensemble"]


@dataclass(frozen=True)
class Attack:
    """An attack's settings and `craft(view, images, labels, *, eps, spec, noise, stop_early)`.

    `craft` returns adversarial images [B, C, H, W] in [0, 1] and inside the eps ball, without a gradient. With
    `stop_early` it may leave an example as soon as the view misclassifies it; without, it runs to its end, which is
    what a transfer attack wants. `noise` is all the randomness that an attack of ours uses.

    An attack that `minimises` looks for the nearest misclassified image instead: its images may lie outside the
    ball, so that one run tells the whole curve over eps (`eps` is then the largest that is asked for).
    """

    Spec: type[AttackSpec]
    craft: Callable[..., Tensor] | None  # None: a suite, which is run attack by attack
    family: Family
    minimises: bool = False


ATTACKS.update(
    {
        "fgsm": Attack(FgsmSpec, fgsm, "one-step"),
        "bim": Attack(BimSpec, bim, "iterative"),
        "ifgsm": Attack(IfgsmSpec, bim, "iterative"),
        "mim": Attack(MimSpec, mim, "iterative"),
        "pgd": Attack(PgdSpec, pgd, "iterative"),
        "daa": Attack(DaaSpec, daa, "iterative"),
        "ddn": Attack(DdnSpec, ddn, "iterative", minimises=True),
        "cw": Attack(CwSpec, cw, "iterative", minimises=True),
        "deepfool": Attack(DeepFoolSpec, deepfool, "iterative", minimises=True),
        "ead": Attack(EadSpec, ead, "iterative", minimises=True),
        "boundary": Attack(BoundarySpec, boundary, "gradient-free", minimises=True),
        "spsa": Attack(SpsaSpec, spsa, "gradient-free"),
        "gaussian_noise": Attack(GaussianNoiseSpec, gaussian_noise, "gradient-free"),
        "autoattack": Attack(AutoAttackSpec, autoattack, "ensemble"),
        "suite": Attack(SuiteSpec, None, "ensemble"),
    }
)

__all__ = ["ATTACKS", "Attack", "Family", "attack_spec"]
