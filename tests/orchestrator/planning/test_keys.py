import pytest

from orchestrator.planning.keys import canonical, flatten, nest
from orchestrator.planning.wording import as_text, parse_assignments, parse_seeds, parse_value
from trainables.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("3", 3, id="integer"),
        pytest.param("-1e-3", -0.001, id="float"),
        pytest.param("true", True, id="boolean"),
        pytest.param("null", None, id="none"),
        pytest.param("identity", "identity", id="bare word"),
        pytest.param('"3"', "3", id="quoted number stays text"),
        pytest.param("parquet:/data/a,b", "parquet:/data/a,b", id="comma outside brackets"),
        pytest.param("", "", id="empty"),
        pytest.param("[1, 2.5]", [1, 2.5], id="JSON list"),
        pytest.param("[identity, factor]", ["identity", "factor"], id="list of bare words"),
        pytest.param("[8/255,0.1]", ["8/255", 0.1], id="fractions are left to the spec"),
        pytest.param("[none,]", ["none"], id="trailing comma"),
        pytest.param("[[conv,head],[conv]]", [["conv", "head"], ["conv"]], id="list of lists"),
        pytest.param("[]", [], id="empty list"),
    ],
)
def test_a_value_is_json_where_it_can_be_and_else_the_text_itself(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("value", [3, 0.1, True, None, "identity", [1, 2], ["a", "b"], [["a"], ["b", "c"]], 1e-07])
def test_a_value_written_as_text_is_read_back(value):
    assert parse_value(as_text(value)) == value


@pytest.mark.parametrize(
    ("assignments", "settings"),
    [
        pytest.param(["epochs=3"], {"epochs": 3}, id="one"),
        pytest.param([" epochs = 3 "], {"epochs": 3}, id="spaces"),
        pytest.param(["defense=none"], {"defense.name": "none"}, id="shorthand"),
        pytest.param(["dataset=parquet:a=b"], {"dataset.name": "parquet:a=b"}, id="equals sign in the value"),
        pytest.param(["epochs=3", "epochs=4"], {"epochs": 4}, id="the last one wins"),
        pytest.param([], {}, id="none"),
    ],
)
def test_assignments_are_parsed(assignments, settings):
    assert parse_assignments(assignments) == settings


@pytest.mark.parametrize("assignment", ["epochs", "=3", " =3", ""])
def test_an_assignment_without_key_or_value_is_refused(assignment):
    with pytest.raises(InputError, match=rf"--set takes key=value, got {assignment!r} \(for example epochs=3\)"):
        parse_assignments([assignment])


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0,1,2", (0, 1, 2)), (" 3, 1", (3, 1))])
def test_seeds_are_integers_with_commas_between_them(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "0,", "0;1", "1.5", "[0,1]"])
def test_other_seeds_are_refused(text):
    with pytest.raises(InputError, match=r"--seeds takes integers with commas between them, got .* \(for example 0,1"):
        parse_seeds(text)


@pytest.mark.parametrize("key", ["dataset", "network", "defense"])
def test_a_section_stands_for_its_name(key):
    assert canonical(key) == f"{key}.name"
    assert canonical(canonical(key)) == f"{key}.name"


def test_flatten_undoes_nest():
    settings = {"defense.name": "none", "optimisation.lr": 0.1, "optimisation.milestones": (1, 2), "epochs": 3}
    assert nest(settings) == {
        "defense": {"name": "none"},
        "optimisation": {"lr": 0.1, "milestones": (1, 2)},
        "epochs": 3,
    }
    assert flatten(nest(settings)) == settings


def test_a_key_below_a_value_is_refused():
    with pytest.raises(InputError, match=r"key 'epochs\.few' is below 'epochs', which has a value of its own"):
        nest({"epochs": 3, "epochs.few": 1})
