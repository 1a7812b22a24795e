"""Attacks by name: what each can be told, and its function. Adding one is a file and a line here."""

from __future__ import annotations

from trainables.attacks.autoattack import AutoAttackSpec, autoattack
from trainables.attacks.bim import BimSpec, IfgsmSpec, bim
from trainables.attacks.boundary import BoundarySpec, boundary
from trainables.attacks.criteria import CRITERIA
from trainables.attacks.criterion import Criterion
from trainables.attacks.cw import CwSpec, cw
from trainables.attacks.daa import DaaSpec, daa
from trainables.attacks.ddn import DdnSpec, ddn
from trainables.attacks.deepfool import DeepFoolSpec, deepfool
from trainables.attacks.ead import EadSpec, ead
from trainables.attacks.fgsm import FgsmSpec, fgsm
from trainables.attacks.gaussian_noise import GaussianNoiseSpec, gaussian_noise
from trainables.attacks.goal import Goal
from trainables.attacks.mim import MimSpec, mim
from trainables.attacks.norm import Norm
from trainables.attacks.norms import NORMS
from trainables.attacks.pgd import PgdSpec, pgd
from trainables.attacks.registry import ATTACKS, Attack, Family, attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.attacks.spsa import SpsaSpec, spsa
from trainables.attacks.suite import SuiteSpec

ATTACKS.add_all(
    fgsm=Attack(FgsmSpec, fgsm, "one-step"),
    bim=Attack(BimSpec, bim, "iterative"),
    ifgsm=Attack(IfgsmSpec, bim, "iterative"),
    mim=Attack(MimSpec, mim, "iterative"),
    pgd=Attack(PgdSpec, pgd, "iterative"),
    daa=Attack(DaaSpec, daa, "iterative"),
    ddn=Attack(DdnSpec, ddn, "iterative", minimises=True),
    cw=Attack(CwSpec, cw, "iterative", minimises=True),
    deepfool=Attack(DeepFoolSpec, deepfool, "iterative", minimises=True),
    ead=Attack(EadSpec, ead, "iterative", minimises=True),
    boundary=Attack(BoundarySpec, boundary, "gradient-free", minimises=True),
    spsa=Attack(SpsaSpec, spsa, "gradient-free"),
    gaussian_noise=Attack(GaussianNoiseSpec, gaussian_noise, "gradient-free"),
    autoattack=Attack(AutoAttackSpec, autoattack, "ensemble"),
    suite=Attack(SuiteSpec, None, "ensemble"),
)

__all__ = ["ATTACKS", "CRITERIA", "NORMS", "Attack", "AttackSpec", "Criterion", "Family", "Goal", "Norm", "attack_spec"]
