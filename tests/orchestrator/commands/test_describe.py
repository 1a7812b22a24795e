"""`describe`: everything that can be chosen says what it is; what is printed is what the specs take."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.commands import describe_view
from orchestrator.commands.cli import app
from orchestrator.commands.describe import DERIVED, KINDS, describe, descriptions
from orchestrator.planning.plan import expand
from orchestrator.planning.wording import parse_assignments
from search_spaces import STUDIES
from search_spaces.study import Study
from trainables.attacks import ATTACKS
from trainables.defenses import DEFENSES
from trainables.errors import InputError

PAGE = Path(__file__).resolve().parents[3] / "trainables" / "README.md"
EVERYTHING = [(kind, name) for kind, known in KINDS.items() for name in known.things]
WITHOUT_A_PAPER = {"none", "gaussian_noise", "suite"}


def invoke(*arguments):
    result = CliRunner().invoke(app, ["describe", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def settings_of(kind, name):
    return {setting.key: setting for setting in describe(kind, name).settings}


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_everything_says_what_it_is_and_what_its_settings_do(kind, name):
    found = describe(kind, name)
    assert found.what
    assert "\n" not in found.what
    assert kind == "study" or [s.key for s in found.settings if not s.description] == []


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("format", "latex", "The LaTeX format: a report's tables, to be \\input into a paper."),
        ("dataset", "svhn", "House numbers: 99,289 colour images of 32x32, 10 digits, from torchvision."),
    ],
)
def test_a_format_and_a_dataset_are_described_in_a_sentence(kind, name, what):
    assert describe(kind, name).what == what


@pytest.mark.parametrize("kind", ["dataset", "network", "format"])
def test_no_two_things_of_a_kind_have_one_description(kind):
    found = [description.what for description in descriptions(kind)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("kind", ["defense", "attack"])
def test_what_has_a_paper_names_it(kind):
    assert {found.name for found in descriptions(kind) if not found.paper} == WITHOUT_A_PAPER & {*KINDS[kind].things}


@pytest.mark.parametrize(
    ("kind", "name", "paper"),
    [
        ("defense", "rbf_mapping", 'Asgari Taghanaki et al., "A Kernelized Manifold Mapping ...", CVPR 2019'),
        (
            "defense",
            "pcl",
            'Mustafa et al., "Deeply Supervised Discriminative Learning for Adversarial Defense", TPAMI 2020.',
        ),
        ("defense", "madry", "Madry et al., ICLR 2018, Eq. 2.1"),
        ("attack", "pgd", "Madry et al. 2018"),
        ("measure", "gradients", "Athalye et al. 2018"),
        ("study", "quickstart", "rbf_mapping, Table 6, on a classifier"),
    ],
)
def test_a_paper_is_that_of_the_docstring(kind, name, paper):
    assert describe(kind, name).paper == paper


@pytest.mark.parametrize(
    ("kind", "name", "key", "type_", "default"),
    [
        ("defense", "rbf_mapping", "defense.psi", "factor | cholesky | identity | per_channel_code", "factor"),
        ("defense", "rbf_cnn", "inference.beta2", "number >= 0", 1.75),
        ("defense", "afd", "defense.adversarial.eps", "0 < number <= 1 or list of (0 < number <= 1)", 0.3),
        ("defense", "madry", "defense.attack.eps", "0 < number <= 1 or list of (0 < number <= 1)", 0.1),
        ("defense", "feature_squeezing", "defense.squeezer.name", "none | bit_depth | median | gaussian", "median"),
        ("attack", "pgd", "attack.<column>.steps", "integer > 0", 40),
        ("attack", "autoattack", "attack.<column>.restarts", "integer > 0", DERIVED),
        ("attack", "pgd", "attack.<column>.norm", "linf | l2 | l1", "linf"),
        ("attack", "pgd", "attack.<column>.loss", "cross_entropy | margin | dlr | joint", "cross_entropy"),
        ("attack", "pgd", "attack.<column>.view", "a view of the defense: see `describe defense NAME`", "default"),
        ("attack", "mim", "attack.<column>.norm", "linf | l2", "linf"),
        (
            "measure",
            "clustering",
            "measure.<column>.view",
            "a view of the defense: see `describe defense NAME`",
            "default",
        ),
        ("training", "training", "epochs", "integer > 0", 10),
        ("training", "training", "optimisation.optimizer", "adam | sgd", "adam"),
        ("network", "cnn3", "network.width", "integer > 0 or null", None),
        ("dataset", "digits", "dataset.validation_fraction", "0 < number < 1", 0.1),
        ("measure", "clustering", "measure.<column>.clusters", "integer >= 2 or null", None),
    ],
)
def test_a_setting_has_its_key_type_and_default(kind, name, key, type_, default):
    setting = settings_of(kind, name)[key]
    assert (setting.type, setting.default, setting.is_required) == (type_, default, False)


def test_eps_is_required_of_every_attack():
    assert all(settings_of("attack", name)["attack.<column>.eps"].is_required for name in ATTACKS)


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("pgd", "list of (0 < number <= 1 for linf; number > 0 for others)"),
        ("daa", "list of (0 < number <= 1 for linf)"),
        ("cw", "list of (number > 0)"),
    ],
)
def test_how_large_eps_may_be_depends_on_the_norm(name, type_):
    assert settings_of("attack", name)["attack.<column>.eps"].type == type_


@pytest.mark.parametrize(("name", "share"), [("pgd", "2.5"), ("bim", "1")])
def test_a_relative_step_says_its_default(name, share):
    description = settings_of("attack", name)["attack.<column>.relative_step"].description
    assert description.endswith(f"null: {share} / steps")


def test_null_is_written_as_set_takes_it():
    output = invoke("defense", "rbf_mapping")
    assert "number > 0 or null" in output
    assert "null: 1 / median(D)" in output
    texts = [s.type + s.description for kind, name in EVERYTHING for s in describe(kind, name).settings]
    assert [text for text in texts if "None" in text or "none: " in text or "or none" in text] == []
    assert expand(STUDIES["quickstart"], overrides=parse_assignments(["defense.beta_init=null"]))


def test_what_cannot_be_set_is_no_setting():
    assert "dataset.digest" not in settings_of("dataset", "digits")


def test_a_defense_names_its_views():
    assert "views: default, joint_loss" in invoke("defense", "pcl")


def test_training_is_described_without_a_name():
    assert invoke("training") == invoke("training", "training")


@pytest.mark.parametrize("name", DEFENSES)
def test_keys_and_defaults_are_what_set_takes(name):
    """A plan with every default given by its key is the plan without."""
    given = {s.key: s.default for s in describe("defense", name).settings if s.default is not None}
    nested = {key for key in given if key.count(".") > 1 and key.rpartition(".")[0] not in given}
    study = Study(name="plain", title="Plain", base={"defense": name}, space=({},), examples=8)
    overrides = {key: value for key, value in given.items() if key not in nested and not isinstance(value, list | dict)}
    assert expand(study, overrides=overrides).trainings == expand(study).trainings


def test_without_arguments_the_kinds_and_their_names_are_shown():
    words = invoke().replace(",", " ").split()
    assert {*KINDS, *(name for known in KINDS.values() for name in known.things)} <= set(words)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_table_of_its_names(kind):
    lines = invoke(kind).splitlines()
    assert {name for line in lines if (name := line.partition(" ")[0])} >= set(KINDS[kind].things)


def test_a_name_is_shown_with_its_paper_and_settings():
    output = invoke("defense", "rbf_mapping")
    for expected in ("A network with RBF blocks", "paper: Asgari Taghanaki", "defense.psi", "factor | cholesky"):
        assert expected in output
    assert "It has no settings." in invoke("norm", "l2")


def test_json_holds_the_same_as_data():
    assert json.loads(invoke("--json")) == {kind: list(known.things) for kind, known in KINDS.items()}
    assert [thing["name"] for thing in json.loads(invoke("attack", "--json"))] == list(ATTACKS)
    found = json.loads(invoke("attack", "pgd", "--json"))
    assert found["what"] == describe("attack", "pgd").what
    steps = next(setting for setting in found["settings"] if setting["key"] == "attack.<column>.steps")
    assert steps == {
        "key": "attack.<column>.steps",
        "type": "integer > 0",
        "default": 40,
        "description": "number of steps",
        "is_required": False,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("defens",), "unknown kind 'defens'. Did you mean 'defense'? Known: attack, "),
        (("defense", "rbf_maping"), "unknown defense 'rbf_maping'. Did you mean 'rbf_mapping'? Known: "),
        (("nope",), "unknown kind 'nope'. Did you mean 'norm'? Known: attack, "),
        (("pcl",), "pcl is a defense: robust-sweep describe defense pcl"),
        (("pgd",), "pgd is an attack: robust-sweep describe attack pgd"),
        (("study", "quickstrat"), "unknown study 'quickstrat'. Did you mean 'quickstart'?"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        invoke(*arguments)


def test_the_reference_in_the_readme_is_what_the_code_says():
    text = PAGE.read_text()
    assert text == describe_view.with_reference(text), (
        "the reference is not what the code says; write it anew: "
        "python -m orchestrator describe --markdown trainables/README.md"
    )


def test_the_reference_is_written_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before {describe_view.BEGIN} old {describe_view.END} after")
    invoke("--markdown", str(page))
    text = page.read_text()
    assert text.startswith(f"before {describe_view.BEGIN}\n")
    assert text.endswith(f"{describe_view.END} after")
    assert "`defense.psi`" in text
    assert " old " not in text


def test_a_page_without_markers_is_refused():
    with pytest.raises(InputError, match="a page must have the markers"):
        describe_view.with_reference("no markers")
