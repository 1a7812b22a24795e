"""MLflow as a view of the store, written by the driver alone.

One experiment a study, one parent run a plan or a search, one child run a trained model. A child's params are its
spec's dotted keys; its metrics are the epochs' (step = epoch), `clean_accuracy`, `robust_accuracy/<column>` with
step = 1000 x eps, so that the UI draws accuracy against eps, and `measure/<column>/<number>`; those of a search begin
with `validation_`. Runs are found by tags, and logged results are tagged, so writing twice is harmless, and what a
server missed while it did not answer can be written later, from the store.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.planning.keys import flatten
from orchestrator.planning.plan import Plan
from orchestrator.planning.wording import as_text
from orchestrator.storage.store import Store
from orchestrator.uris import without_password
from search_spaces.study import CLEAN, Study
from trainables.metrics import EPOCH, clean_name, robust_name
from trainables.specs import EvaluationSpec, TrainingSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MODEL = "robust_sweep.model"
PLAN = "robust_sweep.plan"
EPOCHS = "robust_sweep.epochs"
FAILURE = "robust_sweep.failure"
GIVEN_UP = "robust_sweep.given_up"
EVALUATION = "robust_sweep.evaluation."
STEPS_PER_EPS = 1000
METRICS_A_CALL = 1000
NOTE_CHARACTERS = 8000
OLDEST_FIRST = ["attributes.start_time ASC"]
# MLflow reads these when it is imported: give up soon on a server that does not answer, and log little.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def connect() -> None:
    """Import MLflow, which takes seconds, with settings that suit a driver."""
    os.environ.update({key: value for key, value in MLFLOW_ENVIRONMENT.items() if key not in os.environ})
    import mlflow  # noqa: F401

    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def default_uri(store: Store) -> str:
    """Return the SQLite file under a local root; beside the working directory for a remote one."""
    return f"sqlite:///{store.local_folder}/mlflow.db"


@dataclass(frozen=True)
class Parent:
    """The parent of models' runs: the run of a plan or a search. The same plan or search has the same `identity`."""

    study: Study
    name: str
    identity: str
    params: Mapping[str, str]
    metric: str  # what a mean score is called


def parent_of(plan: Plan) -> Parent:
    """Return the parent of a plan's runs; it is the same as long as the plan's evaluations are."""
    settings = {"scale": plan.scale, "seeds": as_text(list(plan.seeds))}
    params = settings | {_as_name(key): as_text(value) for key, value in plan.overrides.items()}
    return Parent(plan.study, plan.slug, plan.identity, params, plan.judge.metric)


def is_current(parent: Parent, plans: Sequence[Plan], store: Store, uri: str) -> bool:
    """Whether the store notes that all it has of the plans was written to this tracking server."""
    database = uri.removeprefix("sqlite:///")
    if database != uri and not Path(database).exists():
        return False
    trainings = {model for plan in plans for model in plan.trainings}
    evaluations = {evaluation for plan in plans for evaluation in plan.evaluations}
    return store.read_file(_note_name(parent, uri)) == _content(trainings, evaluations, store)


class Book:
    """The runs below one parent in MLflow; every method may be called again.

    Opening it creates the experiment and the parent run unless they are there. Not safe for several threads.
    """

    def __init__(self, parent: Parent, store: Store, uri: str) -> None:
        connect()
        from mlflow import MlflowClient

        self.about, self.store, self.uri = parent, store, uri
        self.client: MlflowClient = MlflowClient(tracking_uri=uri)
        self.experiment = self._experiment()
        self.parent = self._parent()
        self._children: dict[str, Run] = {}
        self._ended: set[str] = set()
        self.look_again()
        self.trainings: dict[str, TrainingSpec] = {}
        self._labels: dict[str, str] = {}
        self._columns: dict[str, list[str]] = {}
        self._wanted: dict[str, dict[str, None]] = {}
        self._clean: dict[str, str] = {}
        self._clean_scores: dict[str, float] = {}

    def add(self, plan: Plan) -> None:
        """Add a plan, whose results are logged once the store has them."""
        self.trainings |= plan.trainings
        self._labels |= {model: plan.name_of(model) for model in plan.trainings}
        self._columns |= _columns_by_evaluation(plan)
        for fingerprint, evaluation in plan.evaluations.items():
            self._wanted.setdefault(evaluation.model, {})[fingerprint] = None
        clean = {_predictor(e): f for f, e in plan.evaluations.items() if e.is_clean}
        self._clean |= {f: clean[_predictor(e)] for f, e in plan.evaluations.items()}

    def look_again(self) -> None:
        """Read what another driver has logged in the meantime."""
        found = self._search(f"tags.`mlflow.parentRunId` = '{self.parent}'")
        self._children = {run.data.tags[MODEL]: run for run in reversed(found) if MODEL in run.data.tags}

    def epochs(self, model: str, history: Sequence[Mapping[str, float]]) -> None:
        """Log those epochs of a model that are not logged yet."""
        run = self._child(model)
        done = int(run.data.tags.get(EPOCHS, 0))
        new = [metrics for metrics in history if metrics[EPOCH] > done]
        if new:
            points = [(k, v, int(m[EPOCH])) for m in new for k, v in m.items() if k != EPOCH]
            self._log(run, points, {EPOCHS: str(int(new[-1][EPOCH]))})

    def models(self, models: Collection[str]) -> None:
        """Log all that the store has of these models; end the runs of models whose evaluations are all there."""
        recorded = self.store.fingerprints("records")
        for model in self.store.fingerprints("checkpoints").intersection(models):
            self._model(model, recorded)

    def _model(self, model: str, recorded: set[str]) -> None:
        run = self._child(model)
        is_ended = run.info.status == "FINISHED" or run.info.run_id in self._ended
        if is_ended and recorded.issuperset(self._wanted[model]) and self._is_logged(run, model):
            return
        self.epochs(model, self.store.load_history(model).history)
        wanted = self._wanted[model]
        for evaluation in recorded.intersection(wanted):
            if EVALUATION + evaluation not in run.data.tags and self._clean[evaluation] in recorded:
                points = self._points(evaluation)
                self._log(run, points, {EVALUATION + evaluation: str(len(points))})
        if recorded.issuperset(wanted):
            self._end(run, "FINISHED")
            if FAILURE in run.data.tags:
                self.client.delete_tag(run.info.run_id, FAILURE)
                del run.data.tags[FAILURE]

    def failed(self, model: str, error: str) -> None:
        """End a model's run as failed, with the reason as a tag."""
        run = self._child(model)
        self.client.set_tag(run.info.run_id, FAILURE, error[:500])
        run.data.tags[FAILURE] = error[:500]
        self._end(run, "FAILED")

    def given_up(self, model: str) -> None:
        """End the run of a model that a search did not train to the end."""
        run = self._child(model)
        self.client.set_tag(run.info.run_id, GIVEN_UP, f"after epoch {run.data.tags.get(EPOCHS, '0')}")
        self._end(run, "KILLED")

    def close(self, files: Mapping[str, bytes], summary: str, *, status: str) -> None:
        """Put the report on the parent run, its text as the run's description, and end it."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            self.client.log_artifacts(self.parent, folder, "report")
        for run in self._children.values():
            if run.info.status == "RUNNING" and run.info.run_id not in self._ended:
                self._end(run, status)
        self.client.set_tag(self.parent, "mlflow.note.content", summary[:NOTE_CHARACTERS])
        self.client.set_terminated(self.parent, status)
        if status == "FINISHED":
            self.store.write_file(_note_name(self.about, self.uri), _content(self.trainings, self._clean, self.store))

    def _points(self, fingerprint: str) -> list[tuple[str, float, int]]:
        """Return a record's metrics; a curve over eps starts from the clean score."""
        records, clean = self.store.load_records(fingerprint), self._clean[fingerprint]
        split = "" if records[0].evaluation.split == "test" else f"{records[0].evaluation.split}_"
        points = []
        for column in self._columns[fingerprint]:
            if records[0].evaluation.measure is not None:
                points += [(f"{split}measure/{column}/{name}", value, 0) for name, value in records[0].numbers.items()]
                continue
            if records[0].evaluation.is_clean:
                points.append(
                    (split + column.replace(CLEAN, clean_name(self.about.metric), 1), records[0].mean_score, 0)
                )
                continue
            name = f"{split}{robust_name(self.about.metric)}/{column}"
            points.append((name, self._clean_score(clean), 0))
            points += [(name, r.mean_score, round(STEPS_PER_EPS * r.eps)) for r in records]
        return points

    def _clean_score(self, clean: str) -> float:
        if clean not in self._clean_scores:
            self._clean_scores[clean] = self.store.load_records(clean)[0].mean_score
        return self._clean_scores[clean]

    def _log(self, run: Run, points: Sequence[tuple[str, float, int]], tags: Mapping[str, str]) -> None:
        """Log metrics, then the tags that mark them as logged."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in points]
        while len(metrics) > METRICS_A_CALL:
            self.client.log_batch(run.info.run_id, metrics=metrics[:METRICS_A_CALL])
            metrics = metrics[METRICS_A_CALL:]
        marks = [RunTag(key, value) for key, value in tags.items()]
        self.client.log_batch(run.info.run_id, metrics=metrics, tags=marks)
        run.data.tags.update(tags)

    def _is_logged(self, run: Run, model: str) -> bool:
        return all(EVALUATION + evaluation in run.data.tags for evaluation in self._wanted[model])

    def _end(self, run: Run, status: str) -> None:
        self.client.set_terminated(run.info.run_id, status)
        self._ended.add(run.info.run_id)

    def _child(self, model: str) -> Run:
        """Return a model's run, with all its params; create it if it is missing."""
        if model not in self._children:
            spec, label = self.trainings[model], self._labels[model]
            tags = {"mlflow.parentRunId": self.parent, MODEL: model, "robust_sweep.variant": label}
            query = f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`{MODEL}` = '{model}'"
            self._children[model] = self._created(query, tags, f"{label} seed={spec.seed}")
            self._log_dataset(self._children[model].info.run_id, spec)
        run = self._children[model]
        self._log_params(run, _params(self.trainings[model]))
        return run

    def _log_params(self, run: Run, params: Mapping[str, str]) -> None:
        """Log the params that a run lacks, as after a call that failed half way."""
        from mlflow.entities import Param

        if missing := {key: value for key, value in params.items() if key not in run.data.params}:
            self.client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in missing.items()])
            run.data.params.update(missing)

    def _log_dataset(self, run_id: str, spec: TrainingSpec) -> None:
        from mlflow.entities import Dataset, DatasetInput

        digest = hashlib.sha256(spec.dataset.model_dump_json().encode()).hexdigest()[:8]
        dataset = Dataset(spec.dataset.name[-500:], digest, "local", spec.dataset.model_dump_json())
        self.client.log_inputs(run_id, datasets=[DatasetInput(dataset)])

    def _experiment(self) -> str:
        name = self.about.study.name
        if (found := self.client.get_experiment_by_name(name)) is not None:
            return found.experiment_id
        local = self.uri.startswith("sqlite:///")
        folder = Path(self.uri.removeprefix("sqlite:///")).parent / "mlflow-artifacts" / name
        return self.client.create_experiment(
            name,
            artifact_location=folder.absolute().as_uri() if local else None,
            tags={
                "mlflow.experimentKind": "custom_model_development",
                "mlflow.experiment.primaryMetric.name": clean_name(self.about.metric),
                "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
                "mlflow.note.content": self.about.study.question,
            },
        )

    def _parent(self) -> str:
        """Return the parent's run; create it if it is missing."""
        study = self.about.study
        tags = {PLAN: self.about.identity, "robust_sweep.paper": study.paper, "robust_sweep.table": study.table}
        query = f"tags.`{PLAN}` = '{self.about.identity}'"
        if found := self._search(query):
            run = found[0]
            self.client.update_run(run.info.run_id, status="RUNNING")
        else:
            run = self._created(query, tags, self.about.name)
        self._log_params(run, self.about.params)
        return run.info.run_id

    def _created(self, query: str, tags: dict[str, str], name: str) -> Run:
        """Create the run that a query is to find; if two drivers create one at once, the older run stays."""
        mine = self.client.create_run(self.experiment, tags=tags, run_name=name)
        first = self._search(query)[0]
        if first.info.run_id != mine.info.run_id:
            self.client.delete_run(mine.info.run_id)
        return first

    def _search(self, query: str) -> list[Run]:
        """Return the runs that a query finds, the oldest first."""
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], query, max_results=1000, order_by=OLDEST_FIRST, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found


def _params(spec: TrainingSpec) -> dict[str, str]:
    """Return a spec's dotted keys and values, as MLflow filters them."""
    return {key: as_text(value) for key, value in flatten(spec.model_dump(mode="json")).items()}


def _columns_by_evaluation(plan: Plan) -> dict[str, list[str]]:
    """Return the metric names of each evaluation: its columns, with its row's settings at test time, if any."""
    suffixes = {v.label: f" {v.inference_label}" if v.inference_label else "" for v in plan.variants}
    columns: dict[str, dict[str, None]] = {}
    for (label, column, _), fingerprint in plan.layout.items():
        columns.setdefault(fingerprint, {})[_as_name(column + suffixes[label])] = None
    return {fingerprint: list(names) for fingerprint, names in columns.items()}


def _as_name(name: str) -> str:
    """Write a name in the characters that MLflow takes: `beta2:1.75` for `beta2=1.75`."""
    return re.sub(r"[^\w. :/-]", "_", name.replace("=", ":"))


def _predictor(evaluation: EvaluationSpec) -> tuple[str, str]:
    """Name a model under settings at test time."""
    return evaluation.model, json.dumps(evaluation.inference, sort_keys=True)


def _note_name(parent: Parent, uri: str) -> str:
    return f"tracking/{parent.name}-{hashlib.sha256(without_password(uri).encode()).hexdigest()[:8]}.json"


def _content(trainings: Iterable[str], evaluations: Iterable[str], store: Store) -> bytes:
    """Return, as JSON, the names of those entries that the store has."""
    trained = store.fingerprints("checkpoints").intersection(trainings)
    evaluated = store.fingerprints("records").intersection(evaluations)
    return json.dumps([sorted(trained), sorted(evaluated)]).encode()
