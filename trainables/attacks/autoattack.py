"""AutoAttack (Croce and Hein, ICML 2020; for L1 their "Mind the box", ICML 2021), built on pyautoattack's attacks.

The way through them is ours, so that an outcome does not depend on the batch: a start is the example's own noise,
and what Square draws is the same for every example. Each attack meets only what those before it left, and what it
finds is drawn into the ball before it is judged. Left out are the library's checks of the model, which cost eight
passes a batch and end a debugger's trace.

Known of pyautoattack 0.2.0: nothing leaves the batch within a run of APGD or FAB, so these cost the same whenever
an example breaks; FAB-T's runs do not depend on eps, and are made again for each; Square never moves its square
to the last row or column, as its authors' code does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from trainables.attacks.criteria import dlr
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS
from trainables.attacks.spec import AttackSpec
from trainables.runtime.randomness import seeded

Component = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab-t", "square"]
VERSIONS: dict[str, tuple[Component, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
RAND_SAMPLES = 20
SILENT = logging.Logger("pyautoattack", logging.CRITICAL)
# From origin [B, C, H, W], labels [B], classes by falling logit [B, K] and noise [B, C, H, W]: adversarial images.
Shot = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class AutoAttackSpec(AttackSpec):
    """The ensemble as published, unless a setting below says otherwise; `rand` is for a stochastic view.

    A target or a restart is a run of `steps` steps. Up to three classes leave no targeted DLR: apgd-t is then
    apgd-dlr, and with two the DLR is the margin. `rand` means over 20 draws, where `eot_samples` names no other
    number: by the loss of their mean softmax, and not the mean of their losses.
    """

    name: Literal["autoattack"] = "autoattack"
    norm: Literal["linf", "l2", "l1"] = "linf"
    loss: Literal["cross_entropy"] = Field("cross_entropy", description="not to be chosen: each attack has its own")
    version: Literal["standard", "rand"] = Field(
        "standard", description="the published ensemble, or the one for stochastic defenses (rand)"
    )
    attacks: tuple[Component, ...] = Field(min_length=1, description="which to run; by default the version's")
    steps: PositiveInt = Field(100, description="of APGD and FAB")
    restarts: PositiveInt = Field(description="of apgd-ce and apgd-dlr; by default 1, for norm l1 5")
    targets: PositiveInt = Field(9, description="classes that fab-t and apgd-t aim at; apgd-t for norm l1: at most 5")
    queries: PositiveInt = Field(5000, description="of Square")

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        rand = value.get("version") == "rand"
        defaults = {
            "attacks": VERSIONS["rand" if rand else "standard"],
            "restarts": 5 if value.get("norm") == "l1" else 1,
            "eot_samples": RAND_SAMPLES if rand else 1,
        }
        return defaults | value


@torch.no_grad()  # the library's attacks take their gradients under enable_grad, and keep graphs without this
def autoattack(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: AutoAttackSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return for each example what the first attack to fool the view found; the image itself where none did.

    An example is left as soon as it is broken, with or without `stop_early`.
    """
    found, norm = images.clone(), NORMS[spec.norm]
    output = view(images)
    ranked = output.argsort(dim=1, descending=True, stable=True)
    left = (~goal.fooled(output, labels)).nonzero().flatten()
    threat = _Threat(view, eps, spec, ranked.shape[1], images.device)
    for number, shot in enumerate(_shots(threat), 1):
        if not len(left):
            break
        origin = images[left]
        # Above every seed of a spec, so that no run draws what a view draws when it is judged.
        with seeded(noise.seed + (number << 32), images.device):
            aimed = shot(origin, labels[left], ranked[left], noise.of(left).draw(number))
        hit = (origin + norm.project(aimed - origin, eps)).clamp(0, 1)
        fooled = goal.fooled(view(hit), labels[left])
        found[left[fooled]] = hit[fooled]
        left = left[~fooled]
    return found


@dataclass(frozen=True)
class _Threat:
    """The view, the ball, the spec and the number of classes, as every component gets them."""

    view: nn.Module
    eps: float
    spec: AutoAttackSpec
    classes: int
    device: torch.device

    @property
    def for_library(self) -> dict[str, Any]:
        return {"norm": self.spec.norm.capitalize(), "eps": self.eps, "device": self.device}

    @property
    def targets(self) -> range:
        """Ranks of the classes that are aimed at."""
        return range(1, min(self.spec.targets, self.classes - 1) + 1)


def _shots(threat: _Threat) -> Iterator[Shot]:
    """Yield the runs of the spec's attacks, one restart or target class each."""
    for name in threat.spec.attacks:
        yield from COMPONENTS[name](threat)


def _apgd_ce(threat: _Threat) -> Iterator[Shot]:
    from pyautoattack.autopgd_base import APGDAttack

    apgd = APGDAttack(threat.view, loss="ce", n_iter=threat.spec.steps, **threat.for_library)
    yield from [_ascent(apgd, threat.eps, threat.spec)] * threat.spec.restarts


def _apgd_dlr(threat: _Threat) -> Iterator[Shot]:
    from pyautoattack.autopgd_base import APGDAttack

    apgd = APGDAttack(threat.view, loss="dlr", n_iter=threat.spec.steps, logger=SILENT, **threat.for_library)
    apgd.dlr_loss = dlr
    yield from [_ascent(apgd, threat.eps, threat.spec)] * threat.spec.restarts


def _apgd_t(threat: _Threat) -> Iterator[Shot]:
    from pyautoattack.autopgd_base import APGDAttack_targeted

    if threat.classes < 4:
        yield from _apgd_dlr(threat)
        return
    apgd = APGDAttack_targeted(threat.view, n_iter=threat.spec.steps, logger=SILENT, **threat.for_library)
    targets = threat.targets[: 5 if threat.spec.norm == "l1" else None]
    yield from (_ascent(apgd, threat.eps, threat.spec, target) for target in targets)


def _fab_t(threat: _Threat) -> Iterator[Shot]:
    from pyautoattack.fab_pt import FABAttack_PT

    fab = FABAttack_PT(threat.view, n_iter=threat.spec.steps, **threat.for_library)
    yield from (_nearest(fab, target) for target in threat.targets)


def _square(threat: _Threat) -> Iterator[Shot]:
    from pyautoattack.square import SquareAttack

    square = SquareAttack(threat.view, n_queries=threat.spec.queries, resc_schedule=False, **threat.for_library)
    yield _search(square)


COMPONENTS: dict[Component, Callable[[_Threat], Iterator[Shot]]] = {
    "apgd-ce": _apgd_ce,
    "apgd-dlr": _apgd_dlr,
    "apgd-t": _apgd_t,
    "fab-t": _fab_t,
    "square": _square,
}


def _ascent(apgd: Any, eps: float, spec: AutoAttackSpec, target: int = 0) -> Shot:
    """Return APGD from the noise's start, towards the class of rank `target`, if any, and away from the label."""

    def shot(origin: Tensor, labels: Tensor, ranked: Tensor, noise: Tensor) -> Tensor:
        apgd.init_hyperparam(origin)
        apgd.y_target = ranked[:, target]
        start = origin + eps * NORMS[spec.norm].start(noise)
        if spec.norm == "l1":
            return _shrinking(apgd, origin, labels, start, eps, spec.steps)
        return apgd.attack_single_run(origin, labels, x_init=start)[3]

    return shot


def _shrinking(apgd: Any, origin: Tensor, labels: Tensor, start: Tensor, eps: float, steps: int) -> Tensor:
    """Ascend in the balls of 3, 2 and 1 eps, for 30, 30 and 40 % of the steps, as in Mind the box."""
    from pyautoattack.autopgd_base import L1_projection

    early = -(-3 * steps // 10)
    for radius, n_iter in ((3 * eps, early), (2 * eps, early), (eps, max(steps - 2 * early, 1))):
        apgd.eps, apgd.n_iter = radius, n_iter
        start = start + L1_projection(origin, start - origin, radius)
        start, _, _, adversarial = apgd.attack_single_run(origin, labels, x_init=start)
    return adversarial


def _nearest(fab: Any, target: int) -> Shot:
    """Return FAB towards the class of rank `target`; it has no random start."""

    def shot(origin: Tensor, labels: Tensor, ranked: Tensor, noise: Tensor) -> Tensor:
        fab.target_class = target + 1
        return fab.attack_single_run(origin, labels, is_targeted=True)

    return shot


def _search(square: Any) -> Shot:
    """Return the Square Attack with the same signs for every example, as its squares are already."""
    signs = square.random_choice
    square.random_choice = lambda shape: signs(shape[-3:]).expand(shape)

    def shot(origin: Tensor, labels: Tensor, ranked: Tensor, noise: Tensor) -> Tensor:
        square.init_hyperparam(origin)
        return square.attack_single_run(origin, labels)[1]

    return shot
