"""The evidence for the verdict on gradient masking: a row's records, example by example."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from orchestrator.planning.plan import Plan
from orchestrator.planning.rows import Variant
from search_spaces.study import CLEAN
from trainables.attacks import ATTACKS
from trainables.attacks.spec import AttackSpec
from trainables.defenses import DEFENSES
from trainables.results import Record

Correct = Mapping[int, np.ndarray]  # seed -> whether each example [N] is answered correctly


@dataclass(frozen=True)
class Threat:
    """An attack's column at one eps, and which examples survived it."""

    column: str
    eps: float
    attack: AttackSpec
    is_transfer: bool
    correct: Correct

    @property
    def survival(self) -> float:
        """The share of examples that survived it."""
        return float(np.concatenate(list(self.correct.values())).mean())

    @property
    def families(self) -> frozenset[str]:
        """The families of the attack, or of a suite's attacks."""
        return frozenset(ATTACKS[member.name].family for member in self.attack.members)

    @property
    def is_ensemble(self) -> bool:
        """Whether it is several attacks, so that what it breaks is no one attack's doing."""
        return ATTACKS[self.attack.name].family == "ensemble"

    @property
    def is_one_step(self) -> bool:
        return self.families == {"one-step"}

    @property
    def is_adaptive(self) -> bool:
        """Whether it takes the defense into account: through another view of it, or by the mean over its draws."""
        adaptive_view = self.attack.views - {"default", "static"}
        return not self.is_transfer and bool(
            adaptive_view or any(member.eot_samples > 1 for member in self.attack.members)
        )

    @property
    def is_white_box(self) -> bool:
        return not self.is_transfer and self.families != {"gradient-free"}

    def __str__(self) -> str:
        return f"{self.column} at eps {self.eps:g} ({100 * self.survival:.1f} %)"


@dataclass(frozen=True)
class Evidence:
    """The evidence on one row: the defense's views, its threats and its measured gradients.

    `vanishing`: seed -> whether each example's loss gradient vanishes, of those that are answered correctly.
    `training_failed`: whether the training of one of its models was tried and failed.
    """

    views: frozenset[str]
    threats: tuple[Threat, ...]
    clean: Correct
    vanishing: Correct
    training_failed: bool = False

    def at(self, norm: str, eps: float) -> tuple[Threat, ...]:
        return tuple(t for t in self.threats if t.attack.norm == norm and t.eps == eps)

    @property
    def grid(self) -> tuple[tuple[str, float], ...]:
        """Return every (norm, eps) of some threat, sorted."""
        return tuple(sorted({(t.attack.norm, t.eps) for t in self.threats}))


def evidence(
    plan: Plan, variant: Variant, records: Mapping[str, Mapping[float, Record]], *, failed: Collection[str] = ()
) -> Evidence:
    """Collect the evidence on a row from `records`, by evaluation and eps."""
    found: dict[str, dict[int, Mapping[float, Record]]] = {}
    for (label, column, seed), fingerprint in plan.layout.items():
        if label == variant.label and fingerprint in records:
            found.setdefault(column, {})[seed] = records[fingerprint]
    threats = tuple(
        Threat(column, eps, attack, column in plan.study.transfers, correct)
        for column, by_seed in found.items()
        if (attack := plan.attack_of(column)) is not None
        for eps in attack.eps
        if (correct := _correct(by_seed, eps))
    )
    defense = plan.trainings[next(iter(variant.models.values()))].defense.name
    lost = not set(variant.models.values()).isdisjoint(failed)
    clean = _correct(found.get(CLEAN, {}), 0.0)
    return Evidence(DEFENSES[defense].views, threats, clean, _vanishing(plan, found), lost)


def _correct(by_seed: Mapping[int, Mapping[float, Record]], eps: float) -> dict[int, np.ndarray]:
    return {seed: by_eps[eps].correct for seed, by_eps in by_seed.items() if eps in by_eps}


def _vanishing(plan: Plan, found: Mapping[str, Mapping[int, Mapping[float, Record]]]) -> dict[int, np.ndarray]:
    columns = [c for c, spec in plan.measures.items() if spec.name == "gradients" and spec.view == "default"]
    for column in columns[:1]:
        by_seed = {seed: by_eps[0.0] for seed, by_eps in found.get(column, {}).items()}
        return {s: r.values["vanishing"][r.correct] for s, r in by_seed.items() if "vanishing" in r.values}
    return {}


def weaker_by(one: Threat, other: Threat) -> tuple[float, float]:
    """Return the share of all examples that `other` breaks beyond those `one` breaks, and a p-value.

    The first is the difference in survival over the seeds that both have. The second is the one-sided p-value of the
    exact sign test on the examples that only one of the two breaks: under the null hypothesis each is broken by either
    with equal chance.
    """
    seeds = sorted(set(one.correct) & set(other.correct))
    if not seeds:
        return 0.0, 1.0
    mine, theirs = (np.concatenate([t.correct[seed] for seed in seeds]) for t in (one, other))
    only_other, only_one = int((mine & ~theirs).sum()), int((~mine & theirs).sum())
    if only_one + only_other == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest  # slow to import, and `plan` needs none of it

    p = binomtest(only_other, only_one + only_other, alternative="greater").pvalue
    return float(mine.mean() - theirs.mean()), float(p)
