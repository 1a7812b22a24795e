"""Signs of masking in made-up outcomes; test_masking.py beside it has real models."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.summary.evidence import Evidence, Threat, weaker_by
from orchestrator.summary.verdict import FAILED, NO_SIGN, NOT_JUDGED, PASSED, RED_FLAG, Check, Verdict, verdict_of
from trainables.attacks.registry import attack_spec

N = 200


def threat(column, share, *, eps=0.1, transfer=False, seeds=(0, 1), **spec):
    """An attack that leaves the last `share` of the examples, in every seed."""
    correct = {seed: np.arange(N) >= round((1 - share) * N) for seed in seeds}
    attack = attack_spec({"name": column.partition(" ")[0], "eps": (eps,)} | spec)
    return Threat(column, eps, attack, transfer, correct)


def row(*threats, views=("default",), vanishing=None):
    everything = {seed: np.ones(N, bool) for seed in (0, 1)}
    return Evidence(frozenset(views), threats, everything, vanishing or {})


def gone(share):
    return {0: np.arange(N) < share * N}


FGSM, PGD = threat("fgsm", 0.5), threat("pgd", 0.3)


def suite(share, *names):
    return threat("suite", share, attacks=[{"name": name} for name in names])


CASES = {
    "iterative ≥ one-step": {
        "pgd breaks more": (row(FGSM, PGD), PASSED),
        "fgsm breaks more": (row(threat("fgsm", 0.2), PGD), FAILED),
        "fgsm breaks one percent more": (row(threat("fgsm", 0.29), PGD), PASSED),
        "the stronger of two iterative ones counts": (row(FGSM, threat("pgd a", 0.9), PGD), PASSED),
        "at another eps": (row(threat("fgsm", 0.2, eps=0.2), PGD), NOT_JUDGED),
        "through another view": (row(threat("fgsm", 0.2, view="bpda"), PGD, views=("default", "bpda")), NOT_JUDGED),
        "a suite of iterative attacks": (row(threat("fgsm", 0.2), suite(0.3, "pgd", "bim")), FAILED),
        "a suite that includes fgsm": (row(threat("fgsm", 0.2), suite(0.3, "fgsm", "pgd")), NOT_JUDGED),
        "pgd alone": (row(PGD), NOT_JUDGED),
    },
    "white box ≥ black box": {
        "transfer breaks less": (row(PGD, threat("pgd from", 0.6, transfer=True)), PASSED),
        "transfer breaks more": (row(PGD, threat("pgd from", 0.2, transfer=True)), FAILED),
        "no black box": (row(PGD, FGSM), NOT_JUDGED),
        "a suite without gradients": (row(PGD, suite(0.2, "spsa", "gaussian_noise")), FAILED),
        "a suite of both": (row(suite(0.2, "pgd", "spsa"), threat("spsa", 0.2)), NOT_JUDGED),
    },
    "accuracy falls with eps": {
        "it falls": (row(PGD, threat("pgd", 0.1, eps=0.2)), PASSED),
        "it stays": (row(PGD, threat("pgd", 0.29, eps=0.2)), FAILED),
        "it stays at next to nothing": (row(threat("pgd", 0.04), threat("pgd", 0.03, eps=0.2)), PASSED),
        "nothing is broken yet": (row(threat("pgd", 0.99), threat("pgd", 0.98, eps=0.2)), PASSED),
        "too few are broken to tell": (row(threat("pgd", 0.99), threat("pgd", 0.99, eps=0.2)), PASSED),
        "one step may overshoot": (row(FGSM, threat("fgsm", 0.5, eps=0.2)), NOT_JUDGED),
        "of another attack": (row(PGD, threat("pgd again", 0.3, eps=0.2)), NOT_JUDGED),
        "not twice the eps": (row(PGD, threat("pgd", 0.3, eps=0.15)), NOT_JUDGED),
    },
    "zero when unbounded": {
        "to zero": (row(threat("pgd", 0.0, eps=0.5)), PASSED),
        "half is left": (row(threat("pgd", 0.5, eps=0.5)), FAILED),
        "no such eps": (row(PGD), NOT_JUDGED),
        "a transfer need not get there": (row(threat("pgd from", 0.5, eps=0.5, transfer=True)), NOT_JUDGED),
    },
    "more effort changes little": {
        "the same": (row(threat("pgd", 0.3, steps=10), threat("pgd long", 0.3, steps=100)), PASSED),
        "more steps find more": (row(threat("pgd", 0.3, steps=10), threat("pgd long", 0.1, steps=100)), FAILED),
        "more restarts find more": (row(threat("pgd", 0.3), threat("pgd again", 0.1, restarts=5)), FAILED),
        "fewer steps find more": (row(threat("pgd", 0.1, steps=10), threat("pgd long", 0.3, steps=100)), PASSED),
        "another loss": (row(PGD, threat("pgd margin", 0.1, steps=100, loss="margin")), NOT_JUDGED),
    },
    "adaptive = default": {
        "one view": (row(PGD), PASSED),
        "both find the same": (row(PGD, threat("pgd bpda", 0.3, view="bpda"), views=("default", "bpda")), PASSED),
        "the default gradient is blunt": (
            row(PGD, threat("pgd bpda", 0.1, view="bpda"), views=("default", "bpda")),
            FAILED,
        ),
        "the adaptive one is blunt": (
            row(
                threat("pgd bpda", 0.6, view="bpda"),
                threat("pgd static", 0.1, view="static"),
                views=("default", "bpda"),
            ),
            FAILED,
        ),
        "over draws": (row(PGD, threat("pgd eot", 0.1, eot_samples=10), views=("default", "bpda")), FAILED),
        "not attacked": (row(PGD, views=("default", "bpda")), NOT_JUDGED),
    },
    "gradients do not vanish": {
        "some do": (row(PGD, vanishing=gone(0.05)), PASSED),
        "most do": (row(PGD, vanishing=gone(0.9)), FAILED),
        "not measured": (row(PGD), NOT_JUDGED),
    },
}


@pytest.mark.parametrize(
    ("check", "found", "expected"),
    [pytest.param(c, *case, id=f"{c}: {name}") for c, cases in CASES.items() for name, case in cases.items()],
)
def test_a_check_finds(check, found, expected):
    (result,) = (c for c in verdict_of(found, metric="accuracy").checks if c.name == check)
    assert result.verdict == expected
    assert bool(result.to_run) == (expected == NOT_JUDGED)


def test_a_check_takes_the_word_for_a_score():
    assert "Dice falls with eps" in {check.name for check in verdict_of(row(PGD), metric="Dice").checks}


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ((PASSED, PASSED), NO_SIGN),
        ((PASSED, NOT_JUDGED), NOT_JUDGED),
        ((PASSED, NOT_JUDGED, FAILED), RED_FLAG),
    ],
)
def test_one_failed_check_is_a_red_flag_and_one_not_judged_leaves_it_open(verdicts, overall):
    assert Verdict(tuple(Check(str(i), verdict, "") for i, verdict in enumerate(verdicts))).overall == overall


def test_a_difference_of_few_examples_is_no_sign():
    """Ten of two hundred, which coin flips give or take."""
    one, other = np.ones(N, bool), np.ones(N, bool)
    one[:40], other[50:105] = False, False
    pair = [Threat(c, 0.1, PGD.attack, False, {0: correct}) for c, correct in (("a", one), ("b", other))]
    difference, p = weaker_by(*pair)
    assert difference == pytest.approx(15 / N)
    assert p > 0.01


def test_pairs_are_compared_over_the_seeds_that_both_have():
    difference, p = weaker_by(threat("pgd", 0.5, seeds=(0,)), threat("fgsm", 0.1, seeds=(1,)))
    assert (difference, p) == (0.0, 1.0)


def test_a_row_whose_training_failed_is_to_be_trained_rather_than_attacked():
    lost = Evidence(frozenset({"default"}), (), {}, {}, training_failed=True)
    advice = {check.to_run for check in verdict_of(lost, metric="accuracy").checks if check.verdict == NOT_JUDGED}
    assert advice == {"train the model again: its training failed, and `robust-sweep status` says why"}
    untried = replace(lost, training_failed=False)
    assert "run what is missing" in {check.to_run for check in verdict_of(untried, metric="accuracy").checks}
