import re

import numpy as np
import pytest
from made_up import record_of

from orchestrator.searching.objectives import Objective, judged_by, objectives_of, probe_of, worth_of
from orchestrator.searching.space import search_space
from search_spaces.study import FloatRange, Study
from trainables.errors import InputError

STUDY = Study(
    name="s",
    title="S",
    base={"network.width": 4},
    space=({"defense": ("none",)},),
    search={"defense": ("none", "pcl"), "optimisation.lr": FloatRange(low=1e-3, high=1e-2)},
    attacks={
        "fgsm": {"name": "fgsm", "eps": (0.1, 0.2)},
        "pgd": {"name": "pgd", "eps": (0.1, 0.2, 0.3)},
        "joint": {"name": "pgd", "eps": (0.1, 0.2), "view": "joint_loss", "loss": "joint"},
    },
    transfers={"t": {"attack": "pgd", "source": {"defense": "none"}}},
    baseline={"defense": "none"},
    seeds=(0, 1),
)
NONE, PCL = {"defense.name": "none"}, {"defense.name": "pcl"}


def space_of(study=STUDY, seeds=None):
    return search_space(study, scale="quick", overrides={}, seeds=seeds)


def judged(text, study=STUDY, seeds=None):
    space = space_of(study, seeds)
    objectives = objectives_of(text, space)
    return judged_by(space, objectives), objectives


def write(store, plan, outcomes):
    """Store records: (column, eps) -> which of the examples are right, the same for each seed."""
    for (_, column, _), fingerprint in plan.layout.items():
        evaluation = plan.evaluations[fingerprint]
        store.save_records(
            [
                record_of(
                    evaluation,
                    eps=eps,
                    correct=np.array([digit == "1" for digit in outcomes[column, eps]]),
                    prediction=np.zeros(4, np.int32),
                    distance=np.zeros(4, np.float32),
                    seconds=0.1,
                    queries=0,
                    provenance={},
                )
                for eps in (evaluation.attack.eps if evaluation.attack else (0.0,))
            ]
        )


OUTCOMES = {
    ("clean", 0.0): "1110",
    ("fgsm", 0.1): "1100",
    ("fgsm", 0.2): "1000",
    ("pgd", 0.1): "1010",
    ("pgd", 0.2): "1000",
    ("pgd", 0.3): "0000",
    ("joint", 0.1): "0110",
    ("joint", 0.2): "0000",
}


@pytest.mark.parametrize(
    ("text", "point", "expected"),
    [
        pytest.param("clean_accuracy", NONE, [3 / 4], id="clean"),
        pytest.param("robust_accuracy:pgd", NONE, [(2 + 1 + 0) / 12], id="mean over an attack's eps"),
        pytest.param("robust_accuracy:pgd@0.2", NONE, [1 / 4], id="one eps"),
        pytest.param("robust_accuracy:pgd@2/10, clean_accuracy", NONE, [1 / 4, 3 / 4], id="fraction, in order"),
        pytest.param("robust_accuracy:worst_case", NONE, [(1 + 1) / 8], id="worst case of fgsm and pgd, at shared eps"),
        pytest.param("robust_accuracy:worst_case", PCL, [(0 + 0) / 8], id="worst case with the adaptive attack"),
        pytest.param("robust_accuracy:worst_case@0.1", NONE, [1 / 4], id="worst case at one eps"),
        pytest.param("", NONE, [3 / 4, 2 / 8], id="without a text"),
    ],
)
@pytest.mark.parametrize("seeds", [None, [0, 5]])
def test_a_value_is_the_mean_of_what_it_names(store, text, point, expected, seeds):
    space, objectives = judged(text, seeds=seeds)
    plan = space.plan([point])
    write(store, plan, OUTCOMES)
    assert worth_of(objectives, plan, store) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("clean_accuracy", {}, id="clean"),
        pytest.param("robust_accuracy:fgsm", {"fgsm": (0.1, 0.2)}, id="one attack"),
        pytest.param("robust_accuracy:pgd@0.3", {"pgd": (0.3,)}, id="one eps"),
        pytest.param("robust_accuracy:pgd@0.3,robust_accuracy:pgd@0.1", {"pgd": (0.1, 0.3)}, id="two eps"),
        pytest.param(
            "robust_accuracy:worst_case@0.2", {"fgsm": (0.2,), "pgd": (0.2,), "joint": (0.2,)}, id="worst case at one"
        ),
        pytest.param("robust_accuracy:worst_case@0.3", {"pgd": (0.3,)}, id="worst case where one attack goes"),
    ],
)
def test_only_the_attacks_and_eps_that_are_needed_are_run(text, expected):
    space, _ = judged(text)
    assert {column: attack.eps for column, attack in space.study.attacks.items()} == expected
    assert not space.study.transfers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("clean", "unknown objective 'clean'. Did you mean 'clean_accuracy'? Known: ", id="unknown"),
        pytest.param("robust_accuracy:pdg", "Did you mean 'robust_accuracy:pgd'?", id="unknown column"),
        pytest.param("robust_accuracy:t", "unknown objective 'robust_accuracy:t'", id="transfer"),
        pytest.param("clean_accuracy,clean_accuracy", "objectives must differ", id="twice"),
        pytest.param("clean_accuracy,", "unknown objective ''", id="empty"),
        pytest.param("clean_accuracy@0.1", "clean_accuracy has no eps", id="eps of clean"),
        pytest.param("robust_accuracy:pgd@x", "eps must be a number or a fraction such as 8/255", id="eps as a word"),
        pytest.param("robust_accuracy:fgsm@0.3", "eps must be one of the attack's, 0.1, 0.2, got 0.3", id="other eps"),
        pytest.param("robust_accuracy:joint", "view 'joint_loss' must be one of every defense", id="view"),
    ],
)
def test_an_objective_that_the_study_cannot_judge_is_refused(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        judged(text)


def test_an_adaptive_attack_judges_a_search_of_the_one_defense_that_has_its_view():
    study = STUDY.model_copy(update={"search": STUDY.search | {"defense": ("pcl",)}})
    assert judged("robust_accuracy:joint", study)[1] == (Objective("robust_accuracy:joint", "joint"),)


def test_a_study_without_attacks_is_searched_for_clean_accuracy():
    study = STUDY.model_copy(update={"attacks": {}, "transfers": {}})
    assert [o.name for o in judged("", study)[1]] == ["clean_accuracy"]
    with pytest.raises(InputError, match="Known: clean_accuracy"):
        judged("robust_accuracy:worst_case", study)


def test_a_probe_is_the_evaluation_that_the_objective_is_the_mean_of():
    space, objectives = judged("clean_accuracy,robust_accuracy:pgd,robust_accuracy:pgd@0.2")
    plan = space.plan([NONE])
    clean, pgd, at = (probe_of(objective, plan) for objective in objectives)
    assert clean.attack is None
    assert pgd.attack.eps == (0.1, 0.2, 0.3)
    assert at.attack.eps == (0.2,)
    assert {spec.split for spec in (clean, pgd, at)} == {"validation"}
