"""Small plans, and entries of them in a store: made up, or written out example by example.

Written out, "1101" is right on all but the third.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_up import record_of
from s3_server import S3
from tiny_study import STUDY

from orchestrator.planning.plan import Plan, expand
from orchestrator.storage.store import Store
from orchestrator.summary import Summary, summarise
from search_spaces.study import Study, Transfer
from trainables.results import Record
from trainables.specs import EvaluationSpec, TrainingSpec

Outcomes = Mapping[tuple[str, str, int], Mapping[float, str] | None]
Fill = Callable[..., tuple[Plan, Store]]
Save = Callable[[TrainingSpec | EvaluationSpec], None]


@pytest.fixture(scope="session")
def small_study() -> Study:
    return Study(
        name="small",
        title="A small study",
        base={"dataset": "digits", "epochs": 2},
        space=({"defense": ("none", "rbf_mapping")},),
        baseline={"defense": "none"},
        attacks={"fgsm": {"name": "fgsm", "eps": (0.1, 0.2)}, "pgd": {"name": "pgd", "eps": (0.1,)}},
        transfers={"from_none": Transfer(attack="pgd", source={"defense": "none"})},
        seeds=(0, 1),
    )


@pytest.fixture(scope="session")
def small_plan(small_study) -> Plan:
    return expand(small_study)


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A real S3 server on this machine."""
    pytest.importorskip("moto")
    server = S3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def save(store) -> Save:
    """Put a checkpoint or the records of a spec, made up but whole, into the store."""

    def write(spec: TrainingSpec | EvaluationSpec) -> None:
        if isinstance(spec, TrainingSpec):
            history = [{"loss": 1.0 / epoch, "epoch": epoch} for epoch in range(1, spec.epochs + 1)]
            store.save_checkpoint(spec, {"weight": torch.arange(3.0)}, history)
        else:
            grid = spec.attack.eps if spec.attack else (0.0,)
            store.save_records([_record(spec, eps) for eps in grid])

    return write


@pytest.fixture
def write_images(tmp_path) -> Callable[..., Path]:
    """Write a folder of Parquet tables with one image each, which are decoded only by a run."""

    def write(name: str, content: bytes = b"no image", label: object = 0) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        image = pa.StructArray.from_arrays([pa.array([content]), pa.array([""])], names=["bytes", "path"])
        for split in ("train", "test"):
            pq.write_table(pa.table({"image": image, "label": pa.array([label])}), folder / f"{split}.parquet")
        return folder

    return write


def _record(evaluation: EvaluationSpec, eps: float) -> Record:
    correct = np.array([True, False, True, True])
    distance = np.full(4, eps, np.float32)
    return record_of(evaluation, eps, correct, np.arange(4, dtype=np.int32), distance, 0.5, 7, {"torch": "2.13"})


@pytest.fixture
def fill(tmp_path) -> Fill:
    """Write records of every cell: the given ones, none where None is given, else the same for all."""

    def write(
        outcomes: Outcomes | None = None,
        *,
        study: Study = STUDY,
        otherwise: str = "1111",
        values: Mapping[tuple[str, str, int], Mapping[str, Any]] | None = None,
        **settings: Any,
    ) -> tuple[Plan, Store]:
        plan, store = expand(study, **settings), Store(tmp_path)
        for cell, fingerprint in plan.layout.items():
            evaluation = plan.evaluations[fingerprint]
            grid = evaluation.attack.eps if evaluation.attack else (0.0,)
            given = (outcomes or {}).get(cell, {})
            if given is not None:
                texts = dict.fromkeys(grid, otherwise) | dict(given)
                found = {name: np.asarray(value) for name, value in (values or {}).get(cell, {}).items()}
                store.save_records([_written_out(evaluation, eps, text, found) for eps, text in texts.items()])
        return plan, store

    return write


@pytest.fixture
def summary_of(fill) -> Callable[..., Summary]:
    """Summarise what `fill` writes."""
    return lambda *args, **kwargs: summarise(*fill(*args, **kwargs))


def _written_out(evaluation, eps, text, values) -> Record:
    correct = np.array([digit == "1" for digit in text])
    zeros = np.zeros(len(text))
    provenance = {"torch": "2.13.0", "code": {"commit": "abc"}}
    arrays = correct, zeros.astype(np.int32), zeros.astype(np.float32)
    return record_of(evaluation, eps, *arrays, 0.5, 0, provenance, values)
