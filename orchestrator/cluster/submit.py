"""Ray Jobs: send a planned study to a cluster with the code that planned it, and follow it to its end.

Anyone who sees the cluster's dashboard can read a job's name, command, environment and metadata: they hold the study's
name and the place of its results. Ray's own client takes the token from RAY_AUTH_TOKEN,
RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token if RAY_AUTH_MODE=token, and sends it as a header alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from orchestrator.cluster.preflight import PORTS, check_token_file, refusal
from orchestrator.cluster.submission import FILE, Submission
from orchestrator.terminal_style import print_line
from orchestrator.uris import scrubbed, without_password
from trainables.errors import InputError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PACKAGES = ("orchestrator", "trainables", "search_spaces")
ENTRYPOINT = f"python -m orchestrator arrive {FILE}"
SCHEMES = ("http", "https")
LOST_SECONDS = 60.0  # without an answer from the dashboard, after which a job is no longer followed
AGENT_SECONDS, NO_AGENT = 120.0, "No available agent"  # as Ray says it
LOOK_AGAIN_SECONDS = 1.0
OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray would prefer them to the address that is given
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
FAILED, STOPPED = 1, 130


def check_address(address: str) -> None:
    """Raise InputError unless an address is a dashboard's."""
    parts = urlsplit(address)
    try:
        is_whole = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number
        is_whole = False
    if not is_whole:
        raise InputError(
            f"address must be that of the cluster's dashboard, such as http://head:8265, got "
            f"{without_password(address)!r}"
        )


def submit(submission: Submission, *, address: str, console: Console, wait: bool = True) -> int:
    """Send a submission to the cluster at `address`, a dashboard's, and show its output until it ends.

    Return the job's exit code, 130 if it was stopped or is no longer followed, 0 unless it is to `wait`. Raise
    InputError if the cluster cannot be reached or refuses.
    """
    check_address(address)
    client = _client(address)
    job = f"robust-sweep-{submission.study.name}-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        stage(submission, Path(folder))
        about = {"study": submission.asked, "scale": submission.scale, "root": without_password(submission.root)}
        _send(client, {"submission_id": job, "runtime_env": {"working_dir": folder}, "metadata": about})
    print_line(console, f"job     {job}")
    if not wait:
        _say_how_to_go_on(job, address, console)
        return 0
    try:
        return follow(client, job, lambda text: console.out(text, end="", highlight=False))
    except KeyboardInterrupt:
        console.print("\n[yellow]no longer followed[/]: the job goes on")
    except ConnectionError as error:
        console.print(f"\n[yellow]no longer followed[/]: {escape(scrubbed(str(error), address))}", highlight=False)
    _say_how_to_go_on(job, address, console)
    return STOPPED


def stage(submission: Submission, folder: Path) -> None:
    """Copy into a folder what a job needs: this very code, wherever it is installed, and the submission."""
    for package in PACKAGES:
        source = Path(__file__).parents[2] / package
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / FILE).write_text(submission.model_dump_json())


def _send(client: JobSubmissionClient, job: dict[str, Any]) -> None:
    """Submit a job; wait for the agent that starts jobs, which comes up after a new head's dashboard."""
    until = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            client.submit_job(entrypoint=ENTRYPOINT, **job)
            return
        except RuntimeError as error:
            if NO_AGENT not in str(error) or time.monotonic() > until:
                raise InputError(f"the cluster does not take the job: {error}") from None
        time.sleep(LOOK_AGAIN_SECONDS)


def follow(client: JobSubmissionClient, job: str, show: Callable[[str], Any]) -> int:
    """Show what a job writes until it ends, and return its exit code.

    Raise ConnectionError if the dashboard has not answered for LOST_SECONDS.
    """
    import aiohttp

    shown, answered = 0, time.monotonic()

    async def tail() -> None:
        nonlocal shown, answered
        skip = shown  # every connection begins with the log's beginning
        async for text in client.tail_job_logs(job):
            answered = time.monotonic()
            if new := text[skip:]:
                show(new)
            shown += len(new)
            skip = max(0, skip - len(text))

    while True:
        try:
            asyncio.run(tail())
            details = client.get_job_info(job)
            if details.status.is_terminal():
                return _exit_code(details, show)
            answered = time.monotonic()
        except (OSError, RuntimeError, aiohttp.ClientError) as error:
            if time.monotonic() - answered > LOST_SECONDS:
                raise ConnectionError(f"the dashboard does not answer ({error}); the job may go on") from None
        time.sleep(LOOK_AGAIN_SECONDS)


def _exit_code(details: Any, show: Callable[[str], Any]) -> int:
    """Return the exit code of a job that has ended, as a shell would; say why if it never ran."""
    if details.driver_exit_code is not None:
        code: int = details.driver_exit_code
        return code if code >= 0 else 128 - code
    if details.status == "SUCCEEDED":
        return 0
    show(f"job {details.status.lower()}: {details.message or 'no reason was given'}\n")
    return STOPPED if details.status == "STOPPED" else FAILED


def _say_how_to_go_on(job: str, address: str, console: Console) -> None:
    options = f"--address {shlex.quote(without_password(address))}"
    for what, command in (("follow", f"logs {options} --follow {job}"), ("stop  ", f"stop {options} {job}")):
        print_line(console, f"{what}  ray job {command}", markup=False)


def _client(address: str) -> JobSubmissionClient:
    """Return a client of a dashboard that answers and lets us in."""
    _check_answers(address)
    check_token_file()
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise InputError(f"submit needs Ray's job client ({error}): pip install 'robust-sweep[cluster]'") from None
    from ray.exceptions import AuthenticationError

    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    shown = without_password(address)
    try:
        with _without_environment(*OVERRIDING):
            return JobSubmissionClient(address)
    except AuthenticationError:
        raise InputError(
            f"the cluster at {shown!r} must be sent its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a "
            "file with the head's token (default: ~/.ray/auth_token)"
        ) from None
    except (ConnectionError, RuntimeError) as error:
        if "ray[default]" in str(error):
            raise InputError("submit needs Ray's job client: pip install 'robust-sweep[cluster]'") from None
        raise InputError(
            f"{shown!r} answers, but not as a Ray dashboard does: {scrubbed(str(error), address)}"
        ) from None


def _check_answers(address: str) -> None:
    """Raise InputError at once if nothing listens; Ray's client itself waits without end."""
    parts = urlsplit(address)
    if (reason := refusal(parts.hostname, parts.port or PORTS[parts.scheme])) is not None:
        raise InputError(
            f"the dashboard at {without_password(address)!r} cannot be reached: {reason} (the head needs ray[default]; "
            "for one that `ray up` started, `ray dashboard cluster.yaml` makes it http://127.0.0.1:8265)"
        )


@contextmanager
def _without_environment(*names: str) -> Iterator[None]:
    """Take variables out of the environment for a while."""
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)
