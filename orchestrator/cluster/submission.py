"""Submission: a planned study as it is sent to a cluster, and compared on arrival with what was planned here.

A study travels as data, so a study from a user's file or the best of a search needs nothing else on the cluster. It is
written into the job's own files, beside the very code that wrote it, and appears in no command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.cluster.resources import Resources
from orchestrator.planning.plan import Plan, expand
from orchestrator.uris import check_uri, without_password
from search_spaces.study import Study
from trainables.errors import InputError
from trainables.values import Frozen

FILE = "submission.json"


class Submission(Frozen):
    """A plan's study and settings, the fingerprints that it expanded to, and how the cluster is to run it.

    `trainings` and `evaluations` are fingerprints. `resources` are of the cluster that the job is part of. A
    `tracking_uri` of None is left to the cluster, whose head may name one in MLFLOW_TRACKING_URI.
    """

    study: Study
    asked: str
    scale: str
    overrides: Mapping[str, Any]
    seeds: tuple[int, ...]
    trainings: tuple[str, ...]
    evaluations: tuple[str, ...]
    root: str
    resources: Resources
    tracking_uri: str | None = None
    data: str = ""
    download: bool = False
    retry_failed: bool = False

    def plan(self) -> Plan:
        """Expand the study again; raise InputError if the result differs from what was submitted."""
        plan = expand(self.study, asked=self.asked, scale=self.scale, overrides=dict(self.overrides), seeds=self.seeds)
        sent, here = {*self.trainings, *self.evaluations}, {*plan.trainings, *plan.evaluations}
        if sent != here:
            raise InputError(
                f"the plan must be the one that was submitted, and {len(sent - here)} of its {len(sent)} trainings and "
                "evaluations are others here: the code or the data of the cluster differ from those it was planned with"
            )
        return plan


def submission_of(plan: Plan, *, root: str, resources: Resources, **options: Any) -> Submission:
    """Return a plan as it is sent; `options` are the submission's other fields."""
    return Submission(
        study=plan.study,
        asked=plan.asked,
        scale=plan.scale,
        overrides=plan.overrides,
        seeds=plan.seeds,
        trainings=tuple(plan.trainings),
        evaluations=tuple(plan.evaluations),
        root=root,
        resources=replace(resources, address="auto"),
        **options,
    )


def load_submission(file: Path) -> Submission:
    """Read what `submit` wrote; raise InputError if there is none."""
    if not file.is_file():
        raise InputError(f"submission {str(file)!r} does not exist: give the file that `robust-sweep submit` wrote")
    return Submission.model_validate_json(file.read_text())


def check_root(root: str, *, is_shared: bool) -> None:
    """Raise InputError unless every node of a cluster sees the same root; for a folder, the user vouches for it."""
    if "://" in root and not root.startswith("file://"):
        _refuse_password("root", root, "give the nodes an instance profile, or AWS_ACCESS_KEY_ID and so on")
        return
    if not Path(root.removeprefix("file://")).is_absolute():
        raise InputError(
            f"root must be one that every node of the cluster sees, s3://bucket/prefix or an absolute path, got "
            f"{root!r} (--root or ROBUST_SWEEP_ROOT)"
        )
    if not is_shared:
        raise InputError(
            f"root {root!r} must be a folder that every node of the cluster mounts, such as NFS: if it is one, say so "
            "with --shared; else use s3://bucket/prefix"
        )


def check_tracking_uri(uri: str | None) -> None:
    """Raise InputError for a tracking URI that a cluster cannot use, or that holds a password."""
    if uri is None:
        return
    check_uri(uri)
    if urlsplit(uri).scheme == "sqlite":
        raise InputError(
            f"the tracking URI must be of a server that the cluster's head reaches, got {uri!r}, which is a file "
            "(--tracking-uri or MLFLOW_TRACKING_URI)"
        )
    _refuse_password("tracking URI", uri, "set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_PASSWORD, on the head")


def _refuse_password(what: str, uri: str, instead: str) -> None:
    if without_password(uri) != uri:
        raise InputError(
            f"a {what} that is sent must hold no password, since others on the cluster could read it, got "
            f"{without_password(uri)!r}: {instead}"
        )
