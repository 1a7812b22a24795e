import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from trainables.attacks import ATTACKS
from trainables.attacks.pgd import PgdSpec
from trainables.defenses import DEFENSES
from trainables.measures import MEASURES
from trainables.networks import NETWORKS
from trainables.networks.cnn3 import cnn3
from trainables.specs import EvaluationSpec, TrainingSpec

TRAINING = {
    "dataset": {"name": "digits"},
    "network": {"name": "cnn3"},
    "defense": {"name": "rbf_mapping"},
    "optimisation": {"optimizer": "sgd"},
    "epochs": 7,
    "seed": 3,
}


OTHER_TRAINING = {
    "dataset.name": "mnist",
    "dataset.digest": "0123",
    "dataset.image_size": 32,
    "dataset.train_examples": 100,
    "dataset.validation_fraction": 0.2,
    "network.name": "another",
    "network.width": 16,
    "defense.name": "another",
    "defense.psi": "cholesky",
    "defense.learn_beta": False,
    "defense.beta_init": 2.0,
    "defense.centers": 5,
    "defense.outputs": 5,
    "defense.rank": 5,
    "defense.distance_power": 1,
    "defense.placement": ["conv"],
    "defense.jitter": 1e-2,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 1e-2,
    "optimisation.momentum": 0.5,
    "optimisation.nesterov": True,
    "optimisation.weight_decay": 1e-4,
    "optimisation.schedule": "cosine",
    "optimisation.milestones": [2],
    "optimisation.gamma": 0.5,
    "optimisation.batch_size": 64,
    "optimisation.augmentation": ["crop"],
    "optimisation.patience": 3,
    "epochs": 8,
    "seed": 4,
}


EVALUATION = {"model": "m", "attack": {"name": "pgd", "eps": [0.1]}}


OTHER_EVALUATION = {
    "model": "n",
    "attack.name": "another",
    "attack.norm": "l2",
    "attack.eps": [0.2],
    "attack.view": "static",
    "attack.loss": "margin",
    "attack.eot_samples": 2,
    "attack.steps": 20,
    "attack.step_size": 0.01,
    "attack.relative_step": 0.1,
    "attack.random_start": False,
    "attack.restarts": 2,
    "measure": None,
    "source": "s",
    "split": "validation",
    "examples": 10,
    "seed": 1,
}


MEASURED = {"model": "m", "measure": {"name": "gradients"}}


def leaves(nested, prefix=""):
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def with_setting(nested, key, value):
    first, _, rest = key.partition(".")
    return nested | {first: with_setting(nested.get(first, {}), rest, value) if rest else value}


def reversed_keys(nested):
    return {k: reversed_keys(v) if isinstance(v, dict) else v for k, v in reversed(nested.items())}


@pytest.fixture
def _another(monkeypatch):
    """Register a network, a defense and an attack that differ from known ones by name only."""

    class AnotherConfig(DEFENSES["rbf_mapping"].Config):
        name: str = "another"

    class Another:
        Config = AnotherConfig
        judges = None

    class AnotherSpec(PgdSpec):
        name: str = "another"

    monkeypatch.setitem(NETWORKS.added, "another", cnn3)
    monkeypatch.setitem(DEFENSES.added, "another", Another)
    monkeypatch.setitem(ATTACKS.added, "another", type(ATTACKS["pgd"])(AnotherSpec, ATTACKS["pgd"].craft, "iterative"))


@pytest.mark.parametrize(
    ("spec", "values", "other"),
    [
        pytest.param(TrainingSpec, TRAINING, OTHER_TRAINING, id="training"),
        pytest.param(EvaluationSpec, EVALUATION, OTHER_EVALUATION, id="evaluation"),
    ],
)
def test_the_table_of_other_values_names_every_field(spec, values, other):
    assert set(other) == set(leaves(spec.model_validate(values).model_dump()))


@pytest.mark.usefixtures("_another")
@pytest.mark.parametrize(("key", "value"), OTHER_TRAINING.items(), ids=OTHER_TRAINING)
def test_training_fingerprint_changes_with(key, value):
    changed = TrainingSpec.model_validate(with_setting(TRAINING, key, value))
    assert changed.fingerprint != TrainingSpec.model_validate(TRAINING).fingerprint


@pytest.mark.usefixtures("_another")
@pytest.mark.parametrize(
    ("key", "value"), [pytest.param(k, v, id=k) for k, v in OTHER_EVALUATION.items() if v is not None]
)
def test_evaluation_fingerprint_changes_with(key, value):
    changed = EvaluationSpec.model_validate(with_setting(EVALUATION, key, value))
    assert changed.fingerprint != EvaluationSpec.model_validate(EVALUATION).fingerprint


def test_evaluation_fingerprint_tells_clean_from_attacked_and_measured():
    changes = [{}, EVALUATION, MEASURED, with_setting(MEASURED, "measure.draws", 7)]
    specs = [EvaluationSpec(**{"model": "m"} | change) for change in changes]
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    assert [spec.is_clean for spec in specs] == [True, False, False, False]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(reversed_keys(TRAINING), id="keys in another order"),
        pytest.param(TRAINING | {"dataset": "digits", "network": "cnn3", "defense": "rbf_mapping"}, id="names alone"),
        pytest.param(with_setting(TRAINING, "optimisation.lr", 0.001), id="defaults written out"),
        pytest.param(with_setting(TRAINING | {"epochs": 7.0}, "optimisation.weight_decay", 0), id="int for float"),
    ],
)
def test_one_training_has_one_fingerprint_however_it_is_written(values):
    assert TrainingSpec(**values).fingerprint == TrainingSpec(**TRAINING).fingerprint


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "import json, sys; from trainables.specs import EvaluationSpec, TrainingSpec;"
        "training, evaluation = json.load(sys.stdin);"
        "print(TrainingSpec(**training).fingerprint, EvaluationSpec(**evaluation).fingerprint)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([reversed_keys(TRAINING), reversed_keys(EVALUATION)]),
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [TrainingSpec(**TRAINING).fingerprint, EvaluationSpec(**EVALUATION).fingerprint]
    assert there.stdout.split() == here


def test_a_parquet_folder_counts_by_its_content_and_not_by_its_place():
    def fingerprint(name, digest):
        return TrainingSpec(dataset={"name": name, "digest": digest}, defense="none").fingerprint

    assert fingerprint("parquet:/a", "1") == fingerprint("parquet:/b", "1")
    assert fingerprint("parquet:/a", "1") != fingerprint("parquet:/a", "2")


def test_crafting_fingerprint_does_not_depend_on_the_target():
    attack = EVALUATION["attack"]
    targets = [EvaluationSpec(model=model, source="s", attack=attack) for model in ("a", "b")]
    at_home = EvaluationSpec(model="s", attack=attack)
    assert {spec.crafting_fingerprint for spec in [*targets, at_home]} == {at_home.crafting_fingerprint}
    assert targets[0].fingerprint != targets[1].fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "t"},
        {"source_inference": {"beta2": 1.0}},
        {"seed": 1},
        {"split": "validation"},
        {"examples": 5},
        {"attack": {"name": "pgd", "eps": [0.2]}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_crafting_fingerprint_changes_with(changed):
    values = EVALUATION | {"source": "s"}
    there, here = EvaluationSpec(**(values | changed)), EvaluationSpec(**values)
    assert there.crafting_fingerprint != here.crafting_fingerprint


@pytest.mark.parametrize("defense", DEFENSES)
def test_a_training_spec_comes_back_from_json_with_its_defenses_own_config(defense):
    spec = TrainingSpec(defense=defense, optimisation={"milestones": (1, 2)})
    back = TrainingSpec.model_validate_json(spec.model_dump_json())
    assert back == spec
    assert type(back.defense) is DEFENSES[defense].Config


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_evaluation_spec_comes_back_from_json_with_its_attacks_own_spec(attack):
    members = {"attacks": [{"name": "pgd", "steps": 5}]} if attack == "suite" else {}
    spec = EvaluationSpec(model="m", attack={"name": attack, "eps": ["8/255"]} | members)
    back = EvaluationSpec.model_validate_json(spec.model_dump_json())
    assert back == spec
    assert type(back.attack) is ATTACKS[attack].Spec


@pytest.mark.parametrize("measure", MEASURES)
def test_an_evaluation_spec_comes_back_from_json_with_its_measures_own_spec(measure):
    needed = {"attack": EVALUATION["attack"]} if measure == "embedding_sensitivity" else {}
    spec = EvaluationSpec(model="m", measure={"name": measure} | needed)
    back = EvaluationSpec.model_validate_json(spec.model_dump_json())
    assert back == spec
    assert type(back.measure) is MEASURES[measure].Spec


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param(TrainingSpec(**TRAINING), "epochs", id="training"),
        pytest.param(TrainingSpec(**TRAINING).defense, "psi", id="defense"),
        pytest.param(TrainingSpec(**TRAINING).optimisation, "lr", id="optimisation"),
        pytest.param(EvaluationSpec(**EVALUATION), "seed", id="evaluation"),
        pytest.param(EvaluationSpec(**EVALUATION).attack, "eps", id="attack"),
    ],
)
def test_specs_are_frozen(spec, field):
    with pytest.raises(ValidationError, match="frozen"):
        setattr(spec, field, 1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("epoch", 3, r"unknown key 'epoch'\. Did you mean 'epochs'\?", id="key"),
        pytest.param("optimisation.learn_rate", 1, r"unknown key 'learn_rate'.*Known: .*lr", id="key of optimisation"),
        pytest.param("dataset.imagesize", 1, "Did you mean 'image_size'", id="key of dataset"),
        pytest.param("network.widht", 1, "Did you mean 'width'", id="key of network"),
        pytest.param("defense.learn_betta", 1, "Did you mean 'learn_beta'", id="key of defense"),
        pytest.param("dataset.name", "digit", "unknown dataset 'digit'. Did you mean 'digits'", id="dataset"),
        pytest.param("dataset.name", "parquet:", "needs a folder", id="parquet without folder"),
        pytest.param("network.name", "cnn33", "unknown network 'cnn33'. Did you mean 'cnn3'", id="network"),
        pytest.param("defense.name", "rbf_map", "unknown defense 'rbf_map'. Did you mean 'rbf_mapping'", id="defense"),
        pytest.param("defense.psi", "diagonal", r"psi: input should be 'factor', .*got 'diagonal'", id="psi"),
        pytest.param("defense.placement", [], "placement: .*at least 1", id="no placement"),
        pytest.param("optimisation.lr", -1.0, "greater than 0", id="negative lr"),
        pytest.param("optimisation.lr", float("nan"), "finite", id="lr nan"),
        pytest.param("optimisation.lr", "1e400", "finite", id="lr infinite"),
        pytest.param("optimisation.momentum", 1.0, "less than 1", id="momentum 1"),
        pytest.param("optimisation.batch_size", 0, "greater than 0", id="batch size 0"),
        pytest.param("optimisation.optimizer", "adamw", "'adam' or 'sgd'", id="optimizer"),
        pytest.param("optimisation.augmentation", ["rotate"], "'crop' or 'flip'", id="augmentation"),
        pytest.param("dataset.validation_fraction", 1.0, "less than 1", id="all held out"),
        pytest.param("dataset.train_examples", 0, "greater than 0", id="no examples"),
        pytest.param("epochs", 0, "greater than 0", id="no epochs"),
        pytest.param("epochs", 1.5, "fractional part", id="half an epoch"),
        pytest.param("seed", -1, "greater than or equal to 0", id="negative seed"),
    ],
)
def test_training_spec_refuses(key, value, message):
    with pytest.raises(ValidationError, match=message):
        TrainingSpec.model_validate(with_setting(TRAINING, key, value))


def test_a_training_without_a_defense_is_refused():
    with pytest.raises(ValidationError, match=r"defense\n\s+Field required"):
        TrainingSpec()


def test_a_source_at_its_defaults_has_the_fingerprints_that_it_had_before_it_could_be_set():
    spec = EvaluationSpec(model="m", source="s", attack={"name": "fgsm", "eps": (0.1,)})
    assert (spec.fingerprint, spec.crafting_fingerprint) == ("34a3bbded6bbd3089efa", "836755591c33d05747fb")


def test_settings_of_a_source_go_with_a_source():
    with pytest.raises(ValidationError, match=r"source_inference goes with a source, got \{'beta2': 1.0\} and none"):
        EvaluationSpec(**EVALUATION, source_inference={"beta2": 1.0})


@pytest.mark.parametrize("other", [{"attack": EVALUATION["attack"]}, {"source": "s"}], ids=["attack", "source"])
def test_an_evaluation_measures_or_attacks(other):
    with pytest.raises(ValidationError, match="has a measure, or an attack and its source, got both"):
        EvaluationSpec(**MEASURED | other)
