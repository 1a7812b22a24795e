import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_up import record_of
from typer.testing import CliRunner

from orchestrator.commands.cli import app
from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from search_spaces import STUDIES
from trainables.specs import EvaluationSpec, TrainingSpec

COMMANDS = ("studies", "plan", "run", "search", "submit", "report", "show", "describe")
COLUMNS, LINES = 100, 24
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("ROBUST_SWEEP", "MLFLOW", "RAY"))}

STUDY_FILE = """\
from search_spaces import Study

GOOD = Study(name="mine", title="Mine", base={"defense": "none"}, space=({},))
GRID = Study(name="grid", title="Grid", base={"defense": "none"}, space=({"defense.psy": ("a", "b")},))
"""
ATTACK = STUDY_FILE.replace("({},)", '({},), attacks={"a": {"name": "pgdd", "eps": (0.1,)}}')
EPS = STUDY_FILE.replace("({},)", '({},), attacks={"a": {"name": "pgd", "eps": (8,)}}')

# What a user may get wrong: the command, and what its message says
MISTAKES = {
    "study": ("plan quickstrat", "unknown study 'quickstrat'. Did you mean 'quickstart'? Known: "),
    "memory": ("run quickstart --gpu-memory-per-trial 6", "one of MiB, GiB, MB, GB, got '6' (such as 6GiB)"),
    "study in a file": ("plan {here}/good.py:GODO", "Did you mean 'GOOD'? Known: GOOD, GRID."),
    "study file": ("plan {here}/none.py:GOOD", "none.py' does not exist"),
    "attack": (
        "plan {here}/attack.py:BAD",
        "attack.py, line 3: attacks.a: unknown attack 'pgdd'. Did you mean 'pgd'? Known",
    ),
    "eps in a file": (
        "plan {here}/eps.py:BAD",
        "eps.py, line 3: attacks.a: eps must be in (0, 1] for norm linf, got 8.0",
    ),
    "grid over no key": ("plan {here}/good.py:GRID", "unknown key 'defense.psy'. Did you mean 'defense.name'? Known: "),
    "key": ("plan quickstart --set epoch=3", "unknown key 'epoch'. Did you mean 'epochs'? Known: "),
    "key of a defense": (
        "plan quickstart --set defense.psy=identity",
        "unknown key 'defense.psy'. Did you mean 'defense.psi'? Known: ",
    ),
    "grid over no key by --set": (
        "run quickstart --set optimisation.learning_rate=[1,2]",
        "unknown key 'optimisation.learning_rate'. Did you mean 'optimisation.lr'? Known: ",
    ),
    "defense": (
        "run quickstart --set defense=rbf_map",
        "unknown defense 'rbf_map'. Did you mean 'rbf_mapping'? Known: ",
    ),
    "dataset": (
        "run quickstart --set dataset=digit",
        "unknown dataset 'digit'. Did you mean 'digits'? Known: cifar10, ",
    ),
    "network": ("run quickstart --set network=cnn", "unknown network 'cnn'. Did you mean 'cnn"),
    "no value": ("run quickstart --set epochs", "--set takes key=value, got 'epochs' (for example epochs=3)"),
    "type": ("run quickstart --set epochs=three", "epochs: input should be a valid integer"),
    "range": ("run quickstart --set epochs=0", "epochs: input should be greater than 0, got 0."),
    "choice": (
        "run quickstart --set defense.psi=inverse",
        "psi: input should be 'factor', 'cholesky', 'identity' or 'per_channel_code', got 'inverse'.",
    ),
    "empty grid": ("run quickstart --set epochs=[]", "epochs: a grid needs at least one value, got []"),
    "eps": (
        "run quickstart --set attack.pgd_linf.eps=[8]",
        "eps must be in (0, 1] for norm linf, got 8.0 (did you mean 8/255?)",
    ),
    "one eps": ("run quickstart --set attack.pgd_linf.eps=8", "eps must be in (0, 1] for norm linf, got 8.0"),
    "attack's column": (
        "run quickstart --set attack.pgd.eps=0.1",
        "Did you mean 'pgd_linf'? Known: fgsm_linf, pgd_linf.",
    ),
    "attack's field": (
        "run quickstart --set attack.pgd_linf.stps=1",
        "unknown key 'stps'. Did you mean 'steps'? Known: ",
    ),
    "seeds": (
        "run quickstart --seeds a",
        "--seeds takes integers with commas between them, got 'a' (for example 0,1,2)",
    ),
    "seeds twice": ("run quickstart --seeds 0,0", "seeds must be distinct integers >= 0, got (0, 0)"),
    "seeds as a setting": ("run quickstart --set seeds=[1]", "use --seeds 0,1,2"),
    "scale": ("run quickstart --scale papper", "unknown scale 'papper'. Did you mean 'paper'? Known: paper, quick."),
    "CPUs": ("run quickstart --cpus-per-trial 0", "a trial needs CPUs or GPUs, got cpus_per_trial=0"),
    "GPUs": ("run quickstart --gpus-per-trial 1.5", "gpus_per_trial must be in [0, 1], a trial uses one GPU, got 1.5"),
    "concurrency": ("run quickstart --max-concurrent 0", "max_concurrent must be >= 1, got 0"),
    "concurrency as a word": ("run quickstart --max-concurrent two", "Invalid value for '--max-concurrent'"),
    "no folder": (
        "run quickstart --set dataset=parquet:/none",
        "dataset folder '/none' must be a folder, and it does not exist",
    ),
    "folder without data": (
        "run quickstart --set dataset=parquet:{here}",
        "must hold train*.parquet (or data/train*.parquet), found ",
    ),
    "columns": (
        "run quickstart --set dataset=parquet:{here}/columns",
        "must have the columns image: struct<bytes: binary, path: string> and label: int64, got ",
    ),
    "corrupt image": (
        "run quickstart --root {here}/results --set dataset=parquet:{here}/corrupt",
        "train.parquet': the image in row 0 is corrupt: ",
    ),
    "nothing downloaded": (
        "run quickstart --root {here}/results --set dataset=mnist --data {here}/none",
        "was not found, and --download was not given",
    ),
    "root below a file": (
        "run quickstart --root {here}/good.py/root",
        "must be a folder that can be written: Not a directory (choose another with --root or ROBUST_SWEEP_ROOT)",
    ),
    "root that cannot be written": ("run quickstart --root /proc/nothing", "must be a folder that can be written: "),
    "root on no filesystem": ("run quickstart --root ftpx://a/b", "root 'ftpx://a/b' cannot be opened: "),
    "format": (
        "report {here}/good.py:GOOD --root {here}/store --format htm",
        "unknown format 'htm'. Did you mean 'html'? Known: all, csv, html, ",
    ),
    "no records": ("report quickstart --root {here}/results", "run `robust-sweep run quickstart` first"),
    "fingerprint": ("show xyz --root {here}/store", "got 'xyz': the store has no such entry"),
    "ambiguous fingerprint": ("show {shared} --root {here}/store", "got '': 4 entries begin so: "),
    "nothing to search": (
        "search quickstart",
        "study 'quickstart' has nothing to search: its `search` must give",
    ),
    "objective": ("search cross_paper --objectives clean", "unknown objective 'clean'. Did you mean 'clean_accuracy'?"),
    "objective of a column": (
        "search cross_paper --objectives robust_accuracy:pgd",
        "unknown objective 'robust_accuracy:pgd'. Did you mean 'robust_accuracy:pgd_",
    ),
    "objective of a view": (
        "search cross_paper --objectives robust_accuracy:pgd_joint",
        "view 'joint_loss' must be one of every defense that is searched, and none has it not",
    ),
    "sampler": ("search cross_paper --sampler nsga2", "unknown sampler 'nsga2'. Did you mean 'nsgaii'? Known: gp, "),
    "pruner": (
        "search cross_paper --pruner asa",
        "unknown pruner 'asa'. Did you mean 'asha'? Known: asha, ",
    ),
    "pruner of two objectives": (
        "search cross_paper --pruner asha --root {here}/results",
        "pruner asha needs one objective that is one column and one seed",
    ),
    "trials": ("search cross_paper --trials 0", "trials must be >= 1, got 0"),
    "storage in no folder": (
        "search cross_paper --root {here}/results --storage sqlite:////none/x.db",
        "storage 'sqlite:////none/x.db' cannot be opened: OperationalError: ",
    ),
    "storage that is no database": (
        "search cross_paper --root {here}/results --storage s3://bucket/x",
        "storage 's3://bucket/x' cannot be opened: ",
    ),
    "storage with a password": (
        "search cross_paper --root {here}/results --storage postgresql://me:secret@127.0.0.1:9/db",
        "storage 'postgresql://me:***@127.0.0.1:9/db' cannot be opened: ",
    ),
    "search on data that are not there": (
        "search cross_paper --root {here}/results --set dataset=mnist --data {here}/none",
        "was not found, and --download was not given",
    ),
    "best of no search": ("run best:nothing --root {here}/results", "search 'nothing' is not in /"),
    "address of no dashboard": (
        "submit quickstart --root s3://b/p --address ray://head:10001",
        "address must be that of the cluster's dashboard, such as http://head:8265, got 'ray://head:10001'",
    ),
    "address with a password": (
        "submit quickstart --root s3://b/p --address ftp://me:secret@head",
        "got 'ftp://me:***@head'",
    ),
    "port": ("submit quickstart --root s3://b/p --address http://head:port", "address must be that of the cluster's"),
    "no dashboard": (
        "submit quickstart --root /nfs --shared --address http://127.0.0.1:9",
        "the dashboard at 'http://127.0.0.1:9' cannot be reached: ",
    ),
    "root of this machine": (
        "submit quickstart --address http://127.0.0.1:9 --root {here}/results",
        "must be a folder that every node of the cluster mounts, such as NFS: if it is one, say so with --shared",
    ),
    "key of a study that is sent": (
        "submit quickstart --root /nfs --shared --address http://127.0.0.1:9 --set epoch=3",
        "unknown key 'epoch'. Did you mean 'epochs'? Known: ",
    ),
    "resources of a study that is sent": (
        "submit quickstart --root /nfs --shared --address http://127.0.0.1:9 --gpus-per-trial 2",
        "gpus_per_trial must be in [0, 1], a trial uses one GPU, got 2",
    ),
    "tracking of this machine": (
        "submit quickstart --root s3://b/p --address http://127.0.0.1:9 --tracking-uri sqlite:////mlflow.db",
        "must be of a server that the cluster's head reaches",
    ),
    "no submission": ("arrive {here}/none.json", "none.json' does not exist"),
    "command": ("bogus", "No such command 'bogus'."),
    "argument": ("run", "Missing argument 'STUDY'."),
}

# Makes all the mistakes in one fresh process, so that what it has imported can be seen.
DRIVER = """
import contextlib, io, json, sys, traceback
from orchestrator.commands.cli import main

outcomes = {}
for name, arguments in json.load(sys.stdin).items():
    sys.argv, text, code = ["robust-sweep", *arguments], io.StringIO(), None
    with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
        try:
            main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
    outcomes[name] = {"code": code, "text": text.getvalue()}
json.dump({"outcomes": outcomes, "modules": sorted(sys.modules)}, sys.stdout)
"""


def python(*arguments, **options):
    environment = ENVIRONMENT | {"COLUMNS": str(COLUMNS)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, **options
    )


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    """What became of every mistake, and what had been imported in the end."""
    here = tmp_path_factory.mktemp("mistakes")
    for name, text in (("good", STUDY_FILE), ("attack", ATTACK), ("eps", EPS)):
        (here / f"{name}.py").write_text(text)
    _write_images(here / "corrupt", "image")
    _write_images(here / "columns", "img")
    plan, store = expand(find_study(f"{here}/good.py:GOOD"), seeds=range(3)), Store(here / "store")
    for spec in plan.trainings.values():
        store.save_checkpoint(spec, {"x": torch.ones(1)}, [{"epoch": 1}])
    right, nothing = np.ones(4, bool), np.zeros(4)
    evaluation = plan.evaluations[plan.layout["none", "clean", 0]]
    store.save_records([record_of(evaluation, 0.0, right, nothing, nothing, 0.5, 0, {})])
    commands = {
        name: [word.format(here=here, shared="") for word in command.split(" ")]
        for name, (command, _) in MISTAKES.items()
    }
    done = python("-c", DRIVER, input=json.dumps(commands), cwd=here)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _write_images(folder, column):
    folder.mkdir()
    image = pa.StructArray.from_arrays([pa.array([b"no image"]), pa.array([""])], names=["bytes", "path"])
    for split in ("train", "test"):
        pq.write_table(pa.table({column: image, "label": pa.array([0])}), folder / f"{split}.parquet")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_ends_with_exit_code_2_and_a_message_that_says_what_is_allowed(mistakes, name):
    outcome, (_, message) = mistakes["outcomes"][name], MISTAKES[name]
    assert message in outcome["text"], outcome["text"]
    assert "secret" not in outcome["text"]
    assert outcome["code"] == 2


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_of_a_mistake_fits_a_screen_and_is_no_traceback(mistakes, name):
    text = mistakes["outcomes"][name]["text"]
    assert "Traceback" not in text
    assert sum(max(1, math.ceil(len(line) / COLUMNS)) for line in text.splitlines()) <= LINES, text


def test_no_mistake_starts_ray_or_mlflow(mistakes):
    assert "torch" in mistakes["modules"]
    assert not {"ray", "mlflow"} & set(mistakes["modules"])


@pytest.mark.parametrize("name", ["range", "root below a file"])
def test_the_installed_command_ends_with_exit_code_2_and_its_message_on_stderr(name, tmp_path):
    script = Path(sys.executable).with_name("robust-sweep")
    if not script.exists():
        pytest.skip("the project is not installed")
    (tmp_path / "good.py").write_text("")
    command, message = MISTAKES[name]
    done = subprocess.run(
        [script, *command.format(here=tmp_path).split()], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr


def test_the_command_line_answers_without_heavy_imports():
    done = python("-c", "import orchestrator.commands.cli, sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert "typer" in done.stdout.split()
    assert not {"torch", "ray", "mlflow", "pyarrow", "pydantic"} & set(done.stdout.split())


# What works


def invoke(*arguments):
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(command):
    output = invoke(command, "--help")
    assert re.search(rf"^\W*robust-sweep {command}( \w|\W*$)", output, re.MULTILINE), output
    assert "Usage:" in output


def test_help_names_every_command_and_has_examples():
    output = invoke("--help")
    assert "Examples" in output
    assert "robust-sweep run quickstart" in output
    assert all(re.search(rf"^\W*{command}  ", output, re.MULTILINE) for command in COMMANDS)


def test_studies_lists_the_quickstart():
    assert "quickstart" in invoke("studies")


def test_a_plan_is_printed_and_nothing_is_written(tmp_path):
    root = tmp_path / "root"
    output = invoke("plan", "quickstart", "--root", root, "--set", "epochs=[1,2]", "--seeds", "0,3")
    plan = expand(STUDIES["quickstart"], overrides={"epochs": [1, 2]}, seeds=[0, 3])
    assert all(variant.label in output for variant in plan.variants)
    assert all(fingerprint in output for fingerprint in plan.trainings)
    assert not root.exists()


def test_a_plan_as_json_is_the_plan_that_a_run_would_run(tmp_path):
    output = invoke(
        "plan", "quickstart", "--json", "--scale", "paper", "--root", tmp_path, "--set", "defense.psi=factor"
    )
    plan = expand(STUDIES["quickstart"], scale="paper", overrides={"defense.psi": "factor"})
    found = json.loads(output)
    assert [row["label"] for row in found["rows"]] == [variant.label for variant in plan.variants]
    assert found["overrides"] == plan.overrides
    for kind, build in (("trainings", TrainingSpec), ("evaluations", EvaluationSpec)):
        specs = {entry["fingerprint"]: build.model_validate(entry["spec"]) for entry in found[kind]}
        assert specs == getattr(plan, kind)
        assert not any(entry["cached"] for entry in found[kind])
    assert list(tmp_path.iterdir()) == []


def test_the_root_may_stand_in_the_environment(small_plan, store, save, monkeypatch):
    spec = next(iter(small_plan.trainings.values()))
    save(spec)
    monkeypatch.setenv("ROBUST_SWEEP_ROOT", store.root)
    assert f"model {spec.fingerprint}" in invoke("show", spec.fingerprint[:10])


def test_a_report_is_printed_and_written_in_the_formats_asked_for(tmp_path, store, save):
    (tmp_path / "mine.py").write_text(STUDY_FILE)
    plan = expand(find_study(f"{tmp_path}/mine.py:GOOD"))
    for spec in (*plan.trainings.values(), *plan.evaluations.values()):
        save(spec)
    output = invoke("report", f"{tmp_path}/mine.py:GOOD", "--root", store.root, "--format", "csv", "--format", "latex")
    folder = Path(store.root) / "reports" / plan.slug
    written = {file.name for file in folder.iterdir()}
    assert {"report.csv", "report.tex"} <= written
    assert not {"report.md", "report.html"} & written
    assert all(f"wrote {folder / name}" in output for name in written)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_cuts_no_word_at_80_columns(command):
    result = CliRunner(env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).invoke(app, [command, "--help"])
    assert "…" not in result.output
    assert "list[str]" not in result.output
