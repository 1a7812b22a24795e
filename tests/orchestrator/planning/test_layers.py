import re

import pytest
from grid_study import GRADIENTS, QUICKSTART, WIDTHS, study, values

from orchestrator.planning.plan import expand
from search_spaces.study import Study
from trainables.errors import InputError


def test_a_scale_acts_like_overrides_and_names_its_seeds():
    scaled = study(WIDTHS, scales={"paper": {"epochs": 7, "network.width": (1, 2, 3), "examples": 9, "seeds": (4, 5)}})
    plan = expand(scaled, scale="paper")
    assert values(plan, "network.width") == [1, 2, 3]
    assert values(plan, "epochs") == [7, 7, 7]
    assert plan.seeds == (4, 5)
    assert {spec.examples for spec in plan.evaluations.values()} == {9}
    assert values(expand(scaled, scale="paper", overrides={"epochs": 1}), "epochs") == [1, 1, 1]
    assert expand(scaled).seeds == (0,)


@pytest.mark.parametrize(
    ("overrides", "eps"),
    [
        pytest.param({"attack.pgd.eps": [0.1, 0.3]}, (0.1, 0.3), id="a list is a grid of eps, and no axis"),
        pytest.param({"attack.pgd.eps": ["8/255"]}, (8 / 255,), id="fraction"),
        pytest.param({"attack.pgd.eps": "8/255"}, (8 / 255,), id="one fraction"),
        pytest.param({"attack.pgd.eps": 0.3}, (0.3,), id="one number"),
    ],
)
def test_an_attack_s_eps_is_a_list(overrides, eps):
    plan = expand(study(WIDTHS), overrides=overrides)
    assert plan.attacks["pgd"].eps == eps
    assert len(plan.variants) == 2
    assert [axis.values for axis in plan.axes if axis.key == "attack.pgd.eps"] == [eps]


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"attack.pgd_linf.eps": [0.01]}, id="eps"),
        pytest.param({"attack.pgd_linf.steps": 3, "attack.fgsm_linf.norm": "l2"}, id="steps and norm"),
        pytest.param({"examples": 10}, id="examples"),
    ],
)
def test_settings_of_evaluation_retrain_nothing(overrides):
    plan, changed = expand(QUICKSTART), expand(QUICKSTART, overrides=overrides)
    assert set(changed.trainings) == set(plan.trainings)
    assert set(changed.evaluations) != set(plan.evaluations)


def test_a_measure_is_changed_by_settings_and_scales_and_never_retrains():
    measured = study(measures={"g": GRADIENTS}, scales={"paper": {"measure.g.draws": 50}})
    plan, changed = expand(measured), expand(measured, overrides={"measure.g.draws": 7})
    assert [p.measures["g"].draws for p in (plan, changed, expand(measured, scale="paper"))] == [5, 7, 50]
    assert set(changed.trainings) == set(plan.trainings)
    assert len(set(changed.evaluations) - set(plan.evaluations)) == 1
    assert changed.slug != plan.slug


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param({"measure.h.draws": 3}, "this study has no measure 'h'. Known: g.", id="column"),
        pytest.param({"measure.g": 1}, "settings of measures are measure.<column>.<field>, got 'measure.g'", id="none"),
        pytest.param({"measure.g.drws": 3}, "measure.g: unknown key 'drws'. Did you mean 'draws'?", id="field"),
        pytest.param({"measure.g.draws": 1}, "measure.g: draws: input should be greater than or equal to", id="value"),
        pytest.param({"measure.g.view": "bpda"}, "measure.g: unknown view 'bpda'. Known: default.", id="no row's view"),
        pytest.param({"measures.g.draws": 3}, "unknown key 'measures.g.draws'. Did you mean 'measure.g", id="plural"),
    ],
)
def test_a_setting_of_a_measure_that_is_wrong_is_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        expand(study(measures={"g": GRADIENTS}), overrides=overrides)


@pytest.mark.parametrize(
    ("scale", "overrides", "steps"),
    [
        pytest.param({"attack.*.steps": 3}, {}, [3, 3], id="those that have the field"),
        pytest.param({"attack.*_linf.steps": 3}, {}, [3, 40], id="those so named"),
        pytest.param({"attack.*.steps": 3, "attack.pgd_l2.steps": 4}, {}, [3, 4], id="a column by itself after it"),
        pytest.param({"attack.pgd_l2.steps": 4}, {"attack.*.steps": 5}, [5, 5], id="the user's after the scale's"),
        pytest.param({"attack.*.steps": 3, "attack.pgd_l2.steps": 4}, {"attack.*.steps": 5}, [5, 5], id="both"),
    ],
)
def test_a_pattern_sets_every_column_that_matches_and_has_the_field(scale, overrides, steps):
    attacks = {"fgsm_linf": {"name": "fgsm", "eps": (0.1,)}}
    attacks |= {f"pgd_{norm}": {"name": "pgd", "norm": norm, "eps": (0.1,)} for norm in ("linf", "l2")}
    study = Study.model_validate(
        {"name": "s", "title": "", "base": {"defense": "none"}, "space": ({},), "attacks": attacks}
        | {"scales": {"quick": scale}}
    )
    plan = expand(study, overrides=overrides)
    assert [plan.attacks[column].steps for column in ("pgd_linf", "pgd_l2")] == steps
    assert plan.attacks["fgsm_linf"] == study.attacks["fgsm_linf"]


@pytest.mark.parametrize("seeds", [[], [0, 0], [-1], [0.5], ["0"], [True]])
def test_seeds_must_be_distinct_integers(seeds):
    with pytest.raises(InputError, match=rf"seeds must be distinct integers >= 0, got {re.escape(str(seeds))}"):
        expand(QUICKSTART, seeds=seeds)


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(InputError, match=r"unknown scale 'papper'\. Did you mean 'paper'\? Known: paper, quick"):
        expand(QUICKSTART, scale="papper")


def test_a_suite_takes_no_setting_that_it_would_ignore():
    suite = {"name": "suite", "eps": (0.1,), "attacks": [{"name": "fgsm"}]}
    study = Study(name="s", title="S", base={}, space=({},), attacks={"all": suite})
    message = r"attack\.all: a suite has no loss of its own, got 'margin': set loss on the suite's attacks"
    with pytest.raises(InputError, match=message):
        expand(study, overrides={"attack.all.loss": "margin"})
