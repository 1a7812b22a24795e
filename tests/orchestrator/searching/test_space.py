import random
import re

import pytest

from orchestrator.planning.keys import concerns
from orchestrator.searching.space import ranges_as_text, search_space, with_rows
from search_spaces.study import FloatRange, IntRange, Study
from trainables.errors import InputError

STUDY = Study(
    name="s",
    title="S",
    base={"network.width": 4, "epochs": 1},
    space=({"defense": ("none",)},),
    search={
        "defense": ("none", "madry", "trades", "rbf_mapping"),
        "optimisation.lr": FloatRange(low=1e-4, high=1e-2, log=True),
        "defense.attack.eps": FloatRange(low=0.01, high=0.2),
        "defense.beta": FloatRange(low=1, high=9),
        "defense.centers": IntRange(low=2, high=9),
        "defense.placement": (("head",), ("conv", "head")),
    },
    attacks={"pgd": {"name": "pgd", "eps": (0.1,)}},
    seeds=(3, 4),
    scales={"quick": {"epochs": 2, "optimisation.lr": 5e-3, "defense.attack.steps": 2, "attack.pgd.steps": 7}},
)
OWN = {
    "none": set(),
    "madry": {"defense.attack.eps"},
    "trades": {"defense.attack.eps", "defense.beta"},
    "rbf_mapping": {"defense.centers", "defense.placement"},
}


def space_of(study=STUDY, *, seeds=None, **overrides):
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    return search_space(study, scale="quick", overrides=settings, seeds=seeds)


def at_random(seed):
    draws = random.Random(seed)

    def choose(key, values):
        if isinstance(values, tuple):
            return draws.choice(values)
        return (
            draws.randint(values.low, values.high) if values.kind == "int" else draws.uniform(values.low, values.high)
        )

    return choose


def test_a_point_has_the_keys_that_concern_its_defense_and_no_others():
    space, seen = space_of(), set()
    for seed in range(60):
        point = space.draw(at_random(seed))
        seen.add(point["defense.name"])
        assert set(point) == {"defense.name", "optimisation.lr"} | OWN[point["defense.name"]]
    assert seen == set(OWN)


def test_a_drawn_number_has_three_digits_and_stays_in_its_range():
    space = space_of()
    for seed in range(200):
        lr = space.draw(at_random(seed))["optimisation.lr"]
        assert float(f"{lr:.3g}") == lr
        assert 1e-4 <= lr <= 1e-2


def test_a_plan_has_a_row_a_point_and_looks_at_validation_examples_alone():
    space = space_of()
    points = [space.draw(at_random(seed)) for seed in range(8)]
    plan = space.plan(points)
    assert {e.split for e in plan.evaluations.values()} == {"validation"}
    assert [v.settings for v in plan.variants] == points
    for variant, point in zip(plan.variants, points, strict=True):
        (model,) = variant.models.values()
        spec = plan.trainings[model]
        assert (spec.defense.name, spec.optimisation.lr) == (point["defense.name"], point["optimisation.lr"])
        assert (spec.epochs, spec.network.width, spec.seed) == (2, 4, 3)
    assert plan.attacks["pgd"].steps == 7


def test_a_scale_s_setting_yields_to_a_range_and_the_user_s_does_not():
    assert "optimisation.lr" in space_of().ranges
    space = space_of(optimisation__lr=1e-3)
    assert "optimisation.lr" not in space.ranges
    assert space.study.base["optimisation.lr"] == 1e-3


def test_one_defense_of_the_user_s_leaves_its_own_ranges():
    assert set(space_of(defense="trades").ranges) == {"optimisation.lr"} | OWN["trades"]


def test_a_list_of_the_user_s_is_a_choice():
    space = space_of(defense=["none", "madry"], epochs=[1, 2], defense__placement=[["head"]])
    assert space.ranges["defense.name"] == ("none", "madry")
    assert space.ranges["epochs"] == (1, 2)
    assert set(space.ranges) == {"defense.name", "optimisation.lr", "epochs"} | OWN["madry"]


@pytest.mark.parametrize(("seeds", "expected"), [(None, (3,)), ([7, 8], (7, 8))])
def test_a_point_is_trained_with_the_study_s_first_seed_or_with_those_given(seeds, expected):
    space = space_of(seeds=seeds)
    assert space.plan(space.corners()[:1]).seeds == expected
    assert space.study.seeds == (3, 4)


def test_the_corners_hold_every_choice_and_both_ends_of_every_range_that_concerns_it():
    space = space_of()
    corners = space.corners()
    for key, values in space.ranges.items():
        found = {point[key] for point in corners if key in point}
        assert set(values if isinstance(values, tuple) else (values.low, values.high)) <= found
    for name in OWN:
        assert any(point["defense.name"] == name for point in corners)
    assert all(concerns(key, point) for point in corners for key in point)


def test_rows_keep_the_settings_of_the_base_that_concern_them():
    study = space_of().study
    assert "defense.attack.steps" not in with_rows(study, [{"defense": "rbf_mapping"}]).base
    assert with_rows(study, [{"defense": "none"}, {"defense": "madry"}]).base["defense.attack.steps"] == 2


@pytest.mark.parametrize(
    ("search", "settings", "message"),
    [
        pytest.param({}, {}, "study 's' has nothing to search", id="no ranges"),
        pytest.param({"epochs": (1, 2)}, {"epochs": 1}, "study 's' has nothing to search", id="all of them set"),
        pytest.param({"epoch": (1, 2)}, {}, "unknown key 'epoch'. Did you mean 'epochs'?", id="unknown key"),
        pytest.param(
            {"defense.centers": (1, 2)},
            {},
            "unknown key 'defense.centers'. Did you mean 'defense.name'?",
            id="key of no defense that is searched",
        ),
        pytest.param({"defense": ("nun",)}, {}, "unknown defense 'nun'. Did you mean 'none'?", id="unknown defense"),
        pytest.param(
            {"defense": IntRange(low=1, high=2)},
            {},
            "defense.name must be a choice among names",
            id="range of defenses",
        ),
        pytest.param(
            {"dataset.train_examples": (10, 20)}, {}, "dataset.train_examples cannot be searched", id="dataset"
        ),
        pytest.param({"attack.pgd.steps": (1, 2)}, {}, "attack.pgd.steps cannot be searched", id="attack"),
        pytest.param({"seed": (1, 2)}, {}, "unknown key 'seed'", id="seed"),
        pytest.param({"epochs": (1, 2)}, {"epochs": []}, "epochs: a grid needs at least one value", id="empty list"),
    ],
)
def test_what_cannot_be_searched_is_refused(search, settings, message):
    study = STUDY.model_copy(update={"search": search, "scales": {}})
    with pytest.raises(InputError, match=re.escape(message)):
        space_of(study, **settings)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        pytest.param(
            {"defense": ("none",), "optimisation.lr": FloatRange(low=-1, high=1)},
            "lr: input should be greater than 0",
            id="low end",
        ),
        pytest.param(
            {"defense": ("none",), "epochs": FloatRange(low=1, high=11)},
            "epochs: input should be a valid integer",
            id="no integer",
        ),
        pytest.param(
            {"defense": ("none", "rbf_mapping"), "defense.psi": ("factor", "x")}, "psi: input should be", id="choice"
        ),
    ],
)
def test_a_range_that_makes_no_spec_is_found_in_its_corners(search, message):
    space = space_of(STUDY.model_copy(update={"search": search, "scales": {}}))
    with pytest.raises(InputError, match=message):
        space.plan(space.corners())


def test_ranges_are_described_as_a_person_reads_them():
    texts = dict(ranges_as_text(space_of().ranges))
    assert texts["optimisation.lr"] == "float in [0.0001, 0.01], log"
    assert texts["defense.centers"] == "int in [2, 9]"
    assert texts["defense.name"] == "none, madry, trades, rbf_mapping"
