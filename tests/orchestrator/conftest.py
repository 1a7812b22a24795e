"""A small plan of two rows, two seeds, two attacks and a transfer; and entries of it in a store."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from s3_server import S3

from orchestrator.plan import Plan, expand
from orchestrator.store import Record, Store
from orchestrator.study import Study, Transfer
from trainables.specs import EvaluationSpec, TrainingSpec

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
    return Record(evaluation, eps, correct, np.arange(4, dtype=np.int32), distance, 0.5, 7, {"torch": "2.13"})
