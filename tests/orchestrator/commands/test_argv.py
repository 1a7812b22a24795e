import subprocess
import sys

import pytest

from orchestrator.commands.argv import without_secrets

S3 = "s3://KEY:secret@bucket/prefix"
MLFLOW = "http://me:secret@host:5000"
COMMANDS = {
    "nothing to hide": ("run quickstart --root s3://bucket/prefix --seeds 0", "", {}),
    "a root": (f"run quickstart --root {S3} --seeds 0", "run quickstart --seeds 0", {"ROBUST_SWEEP_ROOT": S3}),
    "with =": (f"run --root={S3} quickstart", "run quickstart", {"ROBUST_SWEEP_ROOT": S3}),
    "two": (
        f"run quickstart --tracking-uri {MLFLOW} --root {S3}",
        "run quickstart",
        {"MLFLOW_TRACKING_URI": MLFLOW, "ROBUST_SWEEP_ROOT": S3},
    ),
    "a storage": (f"search cross_paper --storage={MLFLOW}", "search cross_paper", {"ROBUST_SWEEP_STORAGE": MLFLOW}),
    "no value": ("run quickstart --root", "", {}),
}


@pytest.mark.parametrize(("command", "kept", "hidden"), COMMANDS.values(), ids=COMMANDS)
def test_secrets_go_from_the_arguments_to_the_environment(command, kept, hidden):
    assert without_secrets(command.split()) == ((kept or command).split(), hidden)


def test_a_command_is_started_anew_without_its_secret_and_ends_as_it_would_have(tmp_path):
    """The root is on no filesystem, so that the command says at once what root it was given."""
    script = tmp_path / "main.py"
    script.write_text(
        "import sys\nfrom orchestrator.commands.cli import main\nprint(sys.orig_argv, flush=True)\nmain()\n"
    )
    command = [sys.executable, script, "status", "quickstart", "--root", "ftpx://me:secret@host/a"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    first, second = done.stdout.splitlines()
    assert "secret" in first
    assert second == f"['{sys.executable}', '{script}', 'status', 'quickstart']"
    assert done.returncode == 2
    assert "root 'ftpx://me:***@host/a' cannot be opened" in done.stderr
    assert "secret" not in done.stderr
