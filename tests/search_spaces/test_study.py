import pytest
from pydantic import ValidationError

from search_spaces import FloatRange, IntRange, Study, Transfer, on_other_data
from trainables.attacks import ATTACKS
from trainables.values import explain

PGD = {"name": "pgd", "eps": (0.1,)}
SUITE = {"name": "suite", "eps": (0.1,), "attacks": [{"name": "fgsm"}]}
DATA = {"name": "s", "title": "S", "base": {"defense": "none"}, "space": ({},), "attacks": {"pgd": PGD}}


def test_an_attack_becomes_the_spec_of_its_own_kind():
    assert type(Study(**DATA).attacks["pgd"]) is ATTACKS["pgd"].Spec


def test_a_study_equals_itself_read_from_json():
    study = Study(
        **DATA | {"attacks": {"pgd": {**PGD, "steps": 3}}},
        transfers={"t": Transfer(attack="pgd", source={"defense": "none"})},
        search={
            "optimisation.lr": FloatRange(low=1, high=2),
            "epochs": IntRange(low=1, high=2),
            "network.width": (1, 4),
        },
        seeds=(0, 2),
    )
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_a_study_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Study(**DATA).seeds = (1,)


def test_the_same_question_on_other_data_keeps_what_it_is_not_given():
    study = Study(**DATA, scales={"quick": {"epochs": 1}, "paper": {"epochs": 9}})
    other = on_other_data(study, name="o", table="Table 2", paper={"epochs": 7}, seeds=(3,))
    assert other.scales == {"quick": {"epochs": 1}, "paper": {"epochs": 7}}
    assert (other.name, other.table, other.seeds) == ("o", "Table 2", (3,))
    assert (other.title, other.attacks) == (study.title, study.attacks)


def test_the_same_question_on_other_data_is_checked_like_any_study():
    with pytest.raises(ValidationError, match="valid tuple"):
        on_other_data(Study(**DATA), name="o", table="", quick={}, paper={}, space=({"network.width": 4},))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"spce": ()}, r"unknown key 'spce'\. Did you mean 'space'\?", id="unknown field"),
        pytest.param({"space": ()}, "at least 1 item", id="no grid"),
        pytest.param(
            {"space": ({"network.width": ()},)},
            r"an axis needs at least one value, got \(\) for network\.width",
            id="axis without values",
        ),
        pytest.param({"space": ({"network.width": 4},)}, "valid tuple", id="axis that is no list"),
        pytest.param(
            {"attacks": {"a": {"name": "pgdd", "eps": (0.1,)}}},
            r"unknown attack 'pgdd'\. Did you mean 'pgd'\? Known: .*fgsm",
            id="unknown attack",
        ),
        pytest.param(
            {"attacks": {"a": {"name": "pgd", "eps": (8,)}}},
            r"eps must be in \(0, 1\] for norm linf, got 8\.0 \(did you mean 8/255\?\)",
            id="eps on the 0..255 scale",
        ),
        pytest.param(
            {"attacks": {"a": 3}}, "must be a mapping with a name and an eps grid, got 3", id="attack as number"
        ),
        pytest.param(
            {"attacks": {"all": SUITE | {"view": "bpda"}}}, "has no view of its own, got 'bpda': set view on", id="view"
        ),
        pytest.param(
            {"attacks": {"all": SUITE | {"loss": "margin"}}},
            "has no loss of its own, got 'margin': set loss on",
            id="loss",
        ),
        pytest.param(
            {"attacks": {"all": SUITE | {"eot_samples": 2}}}, "no eot_samples of its own, got 2: set eot_s", id="eot"
        ),
        pytest.param({"name": "a b"}, "must be of letters, digits, '_', '.' and '-' alone, got 'a b'", id="name"),
        pytest.param({"attacks": {"clean": PGD}}, "must not be called 'clean'", id="attack called clean"),
        pytest.param(
            {"transfers": {"clean": {"attack": "pgd", "source": {}}}}, "must not be called 'clean'", id="transfer clean"
        ),
        pytest.param(
            {"transfers": {"pgd": {"attack": "pgd", "source": {}}}},
            r"columns \['pgd'\] name two things",
            id="one name for two columns",
        ),
        pytest.param(
            {"measures": {"pgd": {"name": "gradients"}}},
            r"columns \['pgd'\] name two things",
            id="one name for an attack and a measure",
        ),
        pytest.param(
            {"measures": {"m": {"name": "gradient"}}},
            "unknown measure 'gradient'. Did you mean 'gradients'",
            id="unknown measure",
        ),
        pytest.param({"measures": {"m": 3}}, "a measure must be a mapping with a name, got 3", id="measure as number"),
        pytest.param(
            {"transfers": {"t": {"attack": "pdg", "source": {}}}},
            r"transfers\.t: unknown attack 'pdg'\. Did you mean 'pgd'\?",
            id="transfer of an unknown attack",
        ),
        pytest.param({"scales": {"papr": {}}}, r"scales are \('quick', 'paper'\), got \['papr'\]", id="unknown scale"),
        pytest.param({"examples": 0}, "greater than 0", id="no examples"),
        pytest.param(
            {"search": {"epochs": ()}}, r"a choice needs at least one value, got \(\) for epochs", id="choice of none"
        ),
        pytest.param({"search": {"epochs": 3}}, "valid tuple", id="range that is none"),
        pytest.param({"seeds": ("a",)}, "valid integer", id="seeds as text"),
    ],
)
def test_a_study_that_is_wrong_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Study(**DATA | change)


@pytest.mark.parametrize("kind", [FloatRange, IntRange])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"low": 2, "high": 1}, "low < high must hold, got low=2", id="descending"),
        pytest.param({"low": 1, "high": 1}, "low < high must hold", id="empty"),
        pytest.param({"low": 0, "high": 1, "log": True}, "low > 0.* must hold for log, got low=0", id="log from 0"),
        pytest.param({"low": 1}, "high", id="no end"),
    ],
)
def test_a_range_that_is_none_is_refused(kind, settings, message):
    with pytest.raises(ValidationError, match=message):
        kind(**settings)


def test_an_error_in_a_suite_names_the_column_and_the_attack():
    for attacks, place in (([{"name": "fgsm"}, {"name": "pgdd"}], 1), ([{"name": "pgdd"}], 0)):
        with pytest.raises(ValidationError) as refused:
            Study(**DATA | {"attacks": {"all": SUITE | {"attacks": attacks}}})
        text = explain(refused.value)
        assert text.startswith(f"attacks.all: attacks.{place}: unknown attack 'pgdd'. Did you mean 'pgd'?")
        assert "\n" not in text
