"""The examples of trainables/README.md, installed as a package of a reader's own, do what the page says."""

import os
import subprocess
import sys

import pytest
import torch
from readmes import PAGES, ROOT

from orchestrator.report import FORMATS
from trainables.attacks import ATTACKS, CRITERIA, NORMS, attack_spec
from trainables.data import DATASETS, DatasetSpec, load
from trainables.defenses import DEFENSES
from trainables.evaluation.attacked import evaluate_suite
from trainables.judges import JUDGES
from trainables.measures import MEASURES, measure_spec, measured
from trainables.networks import NETWORKS
from trainables.specs import TrainingSpec
from trainables.training import TrainingRun, on_device

PAGE = PAGES["trainables/README.md"]
REGISTRIES = (DEFENSES, NETWORKS, ATTACKS, NORMS, CRITERIA, MEASURES, JUDGES, DATASETS, FORMATS)
NAMES = [
    pytest.param(registry, name, id=f"{registry.kind}: {name}")
    for registry in REGISTRIES
    for name in PAGE.entry_points[registry.group]
]
CPU = torch.device("cpu")
DEFENSES_OF_CLASSES = ("logit_squeezing", "pca_projection")
STUDIES = {"moons_study.py": "pca_projection", "heights_study.py": "regression"}


@pytest.fixture
def installed(my_package, monkeypatch):
    monkeypatch.syspath_prepend(my_package)
    return my_package


def program(folder, *words):
    """Run a module in a process of its own, which finds the package as an installed one."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run([sys.executable, "-m", *words], env=env, capture_output=True, text=True)


def trained(dataset, defense, *, epochs):
    """Train the page's small network; return the run, and the first test images and their targets."""
    splits = load(DatasetSpec(name=dataset))
    spec = TrainingSpec(dataset=dataset, network={"name": "mlp", "width": 32}, defense=defense, epochs=epochs)
    run = TrainingRun(spec, splits)
    while not run.finished:
        run.step()
    pixels, targets = on_device(splits.test, CPU)
    return run, pixels[:64], targets[:64]


def attacked(run, images, targets, **attack):
    """Return the share of answers that each eps of an attack leaves right, the clean ones first."""
    spec, model = attack_spec(attack), run.defense.model
    threats = [(spec, run.defense.view(spec.view))]
    outcomes = evaluate_suite(model, threats, images, targets, judge=run.spec.judge, seed=0)
    return [outcome.correct.mean() for outcome in outcomes]


def test_every_kind_has_an_example():
    assert set(PAGE.entry_points) == {registry.group for registry in REGISTRIES}
    files = {
        value.partition(":")[0].replace(".", "/") + ".py" for p in PAGE.entry_points.values() for value in p.values()
    }
    assert files == {name for name in PAGE.files if name.startswith("my_package/")}


@pytest.mark.parametrize(("registry", "name"), NAMES)
def test_an_example_is_found_by_its_name(registry, name, installed):
    assert registry[name]


@pytest.mark.parametrize("check", [("check", "--ignore=I001"), ("format", "--check")], ids=" ".join)
def test_the_examples_are_written_like_our_own_code(check, my_package):
    """But for the order of imports, which differs where this project is somebody else's."""
    done = program(my_package, "ruff", *check, "--config", str(ROOT / "pyproject.toml"), str(my_package))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("study", "row"), STUDIES.items())
def test_a_study_of_the_examples_is_planned_in_a_process_of_its_own(study, row, my_package, tmp_path):
    done = program(my_package, "orchestrator", "plan", f"{my_package / study}:STUDY", "--root", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert row in done.stdout


@pytest.mark.parametrize("defense", DEFENSES_OF_CLASSES)
def test_a_defense_learns_and_is_attacked_and_measured(defense, installed):
    run, images, labels = trained("two_moons", defense, epochs=6)
    assert run.history[-1]["validation_accuracy"] > 0.9
    pgd = {"name": "pgd", "norm": "rms", "steps": 10, "loss": "wrong_probability"}
    weak, strong = attacked(run, images, labels, eps=(0.001, 0.3), **pgd)
    assert strong < 0.2 < 0.8 < weak
    assert attacked(run, images, labels, name="random_corners", eps=(0.3,))[0] < 1
    found = measured(
        run.defense.model, images, labels, spec=measure_spec({"name": "calibration"}), judge=run.spec.judge, seed=0
    )
    assert 0 < found["error"] < 0.5
    assert found["confidence"].shape == (64,)


def test_a_regression_is_judged_and_attacked(installed):
    run, images, heights = trained("heights", "regression", epochs=12)
    assert run.history[-1]["validation_closeness"] > 0.95
    weak, strong = attacked(run, images, heights, name="pgd", eps=(0.001, 0.1), steps=10, loss="squared_error")
    assert weak > 0.9
    assert strong < 0.2


def test_the_error_of_calibration_is_how_often_a_sure_model_is_wrong(installed):
    """It gives class 0 a probability of 1, and is right for every other image."""
    sure = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    torch.nn.init.zeros_(sure[1].weight)
    sure[1].bias.data = torch.tensor([99.0, 0.0])
    images, spec = torch.zeros(8, 1, 2, 2, dtype=torch.uint8), measure_spec({"name": "calibration"})
    found = measured(sure, images, torch.arange(8) % 2, spec=spec, judge=JUDGES["classification"], seed=0)
    assert found["error"] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 8)], ids=str)
def test_the_norm_keeps_what_its_table_says(shape, installed):
    norm, delta = NORMS["rms"], torch.randn(6, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm.size(delta), delta.square().flatten(1).mean(1).sqrt())
    torch.testing.assert_close(norm.size(norm.steepest(delta)), torch.ones(6))
    torch.testing.assert_close(norm.size(norm.project(delta, 0.1)), torch.full((6,), 0.1))
    assert torch.equal(norm.project(delta, 99.0), delta)
    assert norm.size(norm.start(delta.clamp(-1, 1))).max() <= 1 + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("study", "row"), STUDIES.items())
def test_a_study_of_the_examples_runs_and_is_written_in_the_format(study, row, my_package, tmp_path):
    asked = f"{my_package / study}:STUDY", "--root", str(tmp_path)
    for words in (
        ("run", *asked, "--debug", "--set", "epochs=2"),
        ("report", *asked, "--format", "plain_text", "--set", "epochs=2"),
    ):
        done = program(my_package, "orchestrator", *words)
        assert done.returncode == 0, done.stdout + done.stderr
    (report,) = (tmp_path / "reports").rglob("report.txt")
    assert f"\n{row}\t" in report.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "names", "but"),
    [
        pytest.param("defenses/test_every_defense.py", DEFENSES_OF_CLASSES, "no test", id="defenses"),
        pytest.param("attacks/test_attacks.py", ["random_corners"], "breaks_most", id="a weak attack"),
    ],
)
def test_an_example_passes_the_suite_of_its_kind(suite, names, but, my_package):
    chosen = f"({' or '.join(names)}) and not ({but.replace(' ', '_')})"
    done = program(
        my_package, "pytest", str(ROOT / "tests" / "trainables" / suite), "-k", chosen, "-p", "no:cacheprovider"
    )
    assert done.returncode == 0, done.stdout
