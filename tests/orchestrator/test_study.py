import pytest
from pydantic import ValidationError

from orchestrator.study import Study, Transfer
from trainables.attacks import ATTACKS

PGD = {"name": "pgd", "eps": (0.1,)}
DATA = {"name": "s", "title": "S", "base": {"defense": "none"}, "space": ({},), "attacks": {"pgd": PGD}}


def test_an_attack_becomes_the_spec_of_its_own_kind():
    assert type(Study(**DATA).attacks["pgd"]) is ATTACKS["pgd"].Spec


def test_a_study_equals_itself_read_from_json():
    study = Study(**DATA, transfers={"t": Transfer(attack="pgd", source={"defense": "none"})}, seeds=(0, 2))
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_a_study_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Study(**DATA).seeds = (1,)


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
            r"unknown attack 'pgdd'\. Did you mean 'pgd'\? Known: fgsm, pgd",
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
        pytest.param({"attacks": {"clean": PGD}}, "must not be called 'clean'", id="attack called clean"),
        pytest.param(
            {"transfers": {"clean": {"attack": "pgd", "source": {}}}}, "must not be called 'clean'", id="transfer clean"
        ),
        pytest.param(
            {"transfers": {"pgd": {"attack": "pgd", "source": {}}}},
            r"columns \['pgd'\] name both an attack and a transfer",
            id="one name for two columns",
        ),
        pytest.param(
            {"transfers": {"t": {"attack": "pdg", "source": {}}}},
            r"transfers\.t: unknown attack 'pdg'\. Did you mean 'pgd'\?",
            id="transfer of an unknown attack",
        ),
        pytest.param({"scales": {"papr": {}}}, r"scales are \('quick', 'paper'\), got \['papr'\]", id="unknown scale"),
        pytest.param({"examples": 0}, "greater than 0", id="no examples"),
        pytest.param({"seeds": ("a",)}, "valid integer", id="seeds as text"),
    ],
)
def test_a_study_that_is_wrong_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        Study(**DATA | change)
