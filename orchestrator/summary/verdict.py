"""Signs of gradient masking, after Athalye et al. 2018 (Sec. 3.1) and Carlini et al. 2019 (Sec. 3).

Each check compares a row's records example by example. One attack counts as weaker than another if the other breaks at
least MARGIN of all examples more and the exact sign test is significant at LEVEL, divided among the comparisons of the
check (Bonferroni). So neither a handful of examples nor many comparisons make a sign. No check can show that a model is
robust; passing all of them means that none of these signs was found.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.planning.plan import Plan
from orchestrator.planning.wording import counted
from orchestrator.summary.evidence import Correct, Evidence, Threat, evidence, weaker_by
from trainables.attacks.spec import AttackSpec
from trainables.results import Record

LEVEL = 0.01
MARGIN = 0.02  # of all examples
REACHES_GREY = 0.5  # the Linf eps at which every image can be made the same grey one
UNBOUNDED_SURVIVAL = 0.05  # at most, where eps is that large
VANISHING_SHARE = 0.1  # at most, of the examples that are answered correctly
EFFORT = ("steps", "restarts", "step_size", "relative_step", "random_start")
PASSED, FAILED, NOT_JUDGED = "passed", "failed", "not judged"
TRAIN = "train the model again: its training failed, and `robust-sweep status` says why"
RED_FLAG, NO_SIGN = "red flag", "no sign"


@dataclass(frozen=True)
class Check:
    """What one check finds in a row: its `verdict`, a sentence with the numbers, and what to run if it cannot judge."""

    name: str
    verdict: str
    text: str
    to_run: str = ""


@dataclass(frozen=True)
class Verdict:
    """A row's checks; `overall` is a red flag if one failed, and no sign only if every check could judge."""

    checks: tuple[Check, ...]

    @property
    def overall(self) -> str:
        verdicts = {check.verdict for check in self.checks}
        if FAILED in verdicts:
            return RED_FLAG
        return NOT_JUDGED if NOT_JUDGED in verdicts else NO_SIGN


def verdicts(
    plan: Plan, records: Mapping[str, Mapping[float, Record]], *, metric: str, failed: Collection[str] = ()
) -> dict[str, Verdict]:
    """Return the verdict on each row by label; empty for a plan without an attack.

    `metric` is the word for a score, and `failed` are the fingerprints of what was tried and failed.
    """
    if not plan.attacks:
        return {}
    rows = {v.label: evidence(plan, v, records, failed=failed) for v in plan.variants}
    return {label: verdict_of(found, metric=metric) for label, found in rows.items()}


def verdict_of(found: Evidence, *, metric: str) -> Verdict:
    """Run every check on the evidence on a row."""
    checks = [Check(name.format(metric=metric), *check(found)) for name, check in CHECKS.items()]
    if found.training_failed and not found.clean:  # other attacks would not help
        checks = [replace(check, to_run=TRAIN) if check.verdict == NOT_JUDGED else check for check in checks]
    return Verdict(tuple(checks))


Finding = tuple[str, str, str]
Pair = tuple[Threat, Threat]  # the first should be at least as strong as the second


def _one_step(found: Evidence) -> Finding:
    """An iterative attack is at least as strong as a one-step attack on the same view."""
    pairs = []
    for norm, eps in found.grid:
        threats = [t for t in found.at(norm, eps) if t.is_white_box]
        for weak in (t for t in threats if t.is_one_step):
            same = [t for t in threats if t.families == {"iterative"} and t.attack.views == weak.attack.views]
            pairs += [(_strongest(same), weak)] if same else []
    return _compared(pairs, "add pgd and fgsm at the same eps, or the one of them that the study lacks")


def _black_box(found: Evidence) -> Finding:
    """The white box is at least as strong as transfer and gradient-free attacks."""
    pairs = []
    for norm, eps in found.grid:
        threats = found.at(norm, eps)
        white = [t for t in threats if t.is_white_box and "gradient-free" not in t.families]
        pairs += [(_strongest(white), black) for black in threats if white and not black.is_white_box]
    return _compared(
        pairs, "add a transfer from another row or a gradient-free attack (spsa) at the eps of a white-box one (pgd)"
    )


def _unbounded(found: Evidence) -> Finding:
    """Accuracy reaches zero where eps is so large that every image can become the same grey one."""
    large = [t for t in found.threats if t.is_white_box and t.attack.norm == "linf" and t.eps >= REACHES_GREY]
    if not large:
        return NOT_JUDGED, "no white-box Linf attack has so large an eps", f"add pgd at eps {REACHES_GREY:g}"
    best = _strongest(large)
    verdict = PASSED if best.survival <= UNBOUNDED_SURVIVAL else FAILED
    return verdict, f"{best}; at most {100 * UNBOUNDED_SURVIVAL:g} % should be left", ""


def _falling(found: Evidence) -> Finding:
    """Where an attack breaks some examples, twice its eps breaks more, until almost none are left.

    "Accuracy never rises with eps" would be no check: an example that a smaller eps broke counts as broken.
    """
    pairs = [
        (one, other)
        for one, other in itertools.combinations([t for t in found.threats if t.is_white_box and not t.is_one_step], 2)
        if one.column == other.column and other.eps >= 2 * one.eps
    ]
    if not found.clean:
        return NOT_JUDGED, "the clean evaluation has no record", "run what is missing"
    if not pairs:
        return NOT_JUDGED, "no iterative attack has an eps and its double", "add pgd with a grid of eps that doubles"
    if flat := [pair for pair in pairs if _stays(found.clean, *pair, level=LEVEL / len(pairs))]:
        one, other = max(flat, key=lambda pair: pair[1].survival)
        return FAILED, f"{other} breaks hardly more than {one}", ""
    one, other = min(pairs, key=lambda pair: pair[0].survival - pair[1].survival)
    return PASSED, f"flattest: {one}, {other}", ""


def _stays(clean: Correct, one: Threat, other: Threat, *, level: float) -> bool:
    """Whether accuracy stays: it falls by less than MARGIN and surely less than half of what the smaller eps broke."""
    seeds = sorted(set(clean) & set(one.correct) & set(other.correct))
    if not seeds or other.survival <= UNBOUNDED_SURVIVAL or one.survival - other.survival >= MARGIN:
        return False
    broken = sum(int((clean[seed] & ~one.correct[seed]).sum()) for seed in seeds)
    more = sum(int((one.correct[seed] & ~other.correct[seed]).sum()) for seed in seeds)
    if not broken:
        return False
    from scipy.stats import binomtest  # slow to import, and `plan` needs none of it

    return float(binomtest(more, more + broken, 1 / 3, alternative="less").pvalue) <= level


def _effort(found: Evidence) -> Finding:
    """More steps or restarts of the same attack change little."""
    pairs = []
    for one, other in itertools.combinations([t for t in found.threats if t.is_white_box], 2):
        if one.eps == other.eps and _differ_in_effort(one.attack, other.attack):
            less, more = sorted((one, other), key=lambda t: _effort_of(t.attack))
            pairs.append((less, more))
    return _compared(pairs, "add pgd with few and with many steps or restarts")


def _adaptive(found: Evidence) -> Finding:
    """Attacks on the default view and attacks that know the defense are equally strong."""
    if found.views == {"default"}:
        return PASSED, "the defense has no other view: its default attack is adaptive", ""
    pairs: list[Pair] = []
    for norm, eps in found.grid:
        threats = [t for t in found.at(norm, eps) if t.is_white_box and not t.is_ensemble]
        adaptive = [t for t in threats if t.is_adaptive]
        plain = [t for t in threats if not t.is_adaptive]
        if adaptive and plain:
            pairs += [(_strongest(plain), _strongest(adaptive)), (_strongest(adaptive), _strongest(plain))]
    views = ", ".join(sorted(found.views - {"default"}))
    return _compared(pairs, f"add pgd on another view of the defense ({views}) beside the default one")


def _gradients(found: Evidence) -> Finding:
    """Loss gradients do not vanish on examples that are answered correctly."""
    if not found.vanishing:
        return NOT_JUDGED, "gradients were not measured", "add the measure gradients to the study"
    shares = np.concatenate(list(found.vanishing.values()))
    share = float(shares.mean()) if len(shares) else 0.0
    verdict = PASSED if share <= VANISHING_SHARE else FAILED
    return verdict, f"{100 * share:.1f} % of {len(shares)} correctly answered examples have no loss gradient", ""


CHECKS: dict[str, Callable[[Evidence], Finding]] = {
    "iterative ≥ one-step": _one_step,
    "white box ≥ black box": _black_box,
    "{metric} falls with eps": _falling,
    "zero when unbounded": _unbounded,
    "more effort changes little": _effort,
    "adaptive = default": _adaptive,
    "gradients do not vanish": _gradients,
}


def _strongest(threats: Iterable[Threat]) -> Threat:
    return min(threats, key=lambda threat: threat.survival)


def _compared(pairs: list[Pair], to_run: str) -> Finding:
    """Fail if the first of some pair is weaker than the second; report the pair where it is weakest."""
    if not pairs:
        return NOT_JUDGED, "there is nothing to compare", to_run
    by_difference = sorted(pairs, key=lambda pair: weaker_by(*pair)[0], reverse=True)
    for strong, weak in by_difference:
        difference, p = weaker_by(strong, weak)
        if difference >= MARGIN and p * len(pairs) <= LEVEL:
            return FAILED, f"{weak} breaks {100 * difference:.1f} points more than {strong}, p = {p:.1g}", ""
    strong, weak = by_difference[0]
    return PASSED, f"nearest to a sign: {weak} against {strong}, of {counted(len(pairs), 'comparison')}", ""


def _differ_in_effort(one: AttackSpec, other: AttackSpec) -> bool:
    if type(one) is not type(other) or _effort_of(one) == _effort_of(other):
        return False
    keep = set(type(one).model_fields) - {*EFFORT, "eps"}
    return one.model_dump(include=keep) == other.model_dump(include=keep)


def _effort_of(attack: AttackSpec) -> int:
    return int(getattr(attack, "steps", 1)) * int(getattr(attack, "restarts", 1))
