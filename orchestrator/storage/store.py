"""Checkpoints, training states, records, crafted examples and failures, by fingerprint, on any pyarrow filesystem.

Layout under the root (each entry is one file, written aside and then renamed, so no reader sees half of one):

    checkpoints/<training>.safetensors   weights; spec, history and provenance stand in the file's metadata
    states/<training>.safetensors        an unfinished training, to go on from
    records/<evaluation>.parquet         one row per eps, with the outcome of every example and what was measured
    crafted/<crafting>.safetensors       adversarial examples of a transfer source
    failures/<unit>.json                 why a unit failed for good

Every entry is determined by its name, so two writers of one entry write the same content and either may win.
Nothing is pickled. Safe to share between processes: an instance holds no state but its root and its patience.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import safetensors
import safetensors.torch
from torch import Tensor

from orchestrator.storage.record_table import VALUE, _array, _column, prediction_column
from orchestrator.storage.remote import PATIENCE_SECONDS, ask
from orchestrator.uris import scrubbed, without_password
from trainables.errors import InputError
from trainables.results import Checkpoint, Record, Story
from trainables.specs import EvaluationSpec, TrainingSpec

Answer = TypeVar("Answer")
KINDS = {
    "checkpoints": ".safetensors",
    "states": ".safetensors",
    "records": ".parquet",
    "crafted": ".safetensors",
    "failures": ".json",
}
HEADER_BYTES = 1 << 17  # what is read of a checkpoint at first for its history; a longer header takes a second look
S3_OPTION = "allow_delayed_open"


class Store:
    """What has been trained and evaluated, under one root: a folder or a URI such as s3://bucket/prefix.

    A remote root that is away is asked again for `patience` seconds, then RootError is raised, which is an OSError.
    """

    def __init__(self, root: str | os.PathLike[str], *, patience: float = 0.0) -> None:
        self.patience = patience
        text = os.fspath(root).removeprefix("file://")
        self.root = text if "://" in text else str(Path(text).expanduser().absolute())

    def patient(self) -> Store:
        """Return the same store for work that would be lost if the root were away for a moment."""
        return Store(self.root, patience=PATIENCE_SECONDS)

    @property
    def is_local(self) -> bool:
        return "://" not in self.root

    @property
    def local_folder(self) -> Path:
        """Where a driver keeps its databases: the root, or for a remote one a folder of the working directory."""
        return Path(self.root) if self.is_local else Path("robust-sweep-results").absolute()

    def filesystem(self) -> tuple[pa.fs.FileSystem, str]:
        """Return the filesystem and the root's path within it."""
        return _filesystem(self.root)

    @property
    def shown(self) -> str:
        """The root as it may be printed: without a password or a secret key."""
        return self.root if self.is_local else without_password(self.root)

    def place(self, name: str) -> str:
        """Say where a file under the root is, as it may be printed."""
        root, mark, query = self.shown.partition("?")
        return f"{root}/{name}{mark}{query}"

    def check_writable(self) -> None:
        """Write and delete a probe; raise InputError if the root cannot be written."""
        try:
            probe = f"probe.{uuid.uuid4().hex}.tmp"
            self._write(probe, b"")
            self.delete_file(probe)
        except OSError as error:
            reason = (error.strerror or str(error)).removeprefix(f"root {self.shown!r}: ")
            raise InputError(
                f"root {self.shown!r} must be a folder that can be written: {reason} "
                "(choose another with --root or ROBUST_SWEEP_ROOT)"
            ) from None

    def fingerprints(self, kind: str) -> set[str]:
        """Return the names of all entries of a kind, in one listing."""
        suffix = KINDS[kind]
        names = [info.base_name for info in self._listed(kind)]
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

    def has(self, kind: str, fingerprint: str) -> bool:
        fs, _ = self.filesystem()
        path = self._path(kind, fingerprint)
        return self._ask(lambda: fs.get_file_info(path).type != pa.fs.FileType.NotFound)

    def delete(self, kind: str, fingerprint: str) -> None:
        """Delete an entry if it is there."""
        self.delete_file(f"{kind}/{fingerprint}{KINDS[kind]}")

    def save_checkpoint(
        self,
        spec: TrainingSpec,
        tensors: Mapping[str, Tensor],
        history: Sequence[Mapping[str, float]],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        metadata = {
            "spec": spec.model_dump_json(),
            "history": json.dumps(list(history)),
            "provenance": json.dumps(dict(provenance or {})),
        }
        self._save_tensors("checkpoints", spec.fingerprint, tensors, metadata)

    def load_checkpoint(self, fingerprint: str) -> Checkpoint:
        """Load a trained model; raise FileNotFoundError if the store has none."""
        tensors, metadata = self._load_tensors("checkpoints", fingerprint)
        return Checkpoint(*_story_of(metadata), tensors)

    def load_history(self, fingerprint: str) -> Story:
        """Return a checkpoint's spec, history and provenance, reading no weights."""
        fs, _ = self.filesystem()
        path = self._path("checkpoints", fingerprint)

        def header() -> bytes:
            with fs.open_input_file(path) as file:
                content: bytes = file.read(HEADER_BYTES)
                end = 8 + int.from_bytes(content[:8], "little")
                return (content if end <= len(content) else content + file.read(end - len(content)))[8:end]

        return _story_of(json.loads(self._ask(header))["__metadata__"])

    def save_state(self, fingerprint: str, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Keep an unfinished training: its tensors and its JSON values."""
        self._save_tensors("states", fingerprint, tensors, {"values": json.dumps(values)})

    def load_state(self, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        try:
            tensors, metadata = self._load_tensors("states", fingerprint)
        except FileNotFoundError:
            return None
        return tensors, json.loads(metadata["values"])

    def save_crafted(self, fingerprint: str, tensors: Mapping[str, Tensor]) -> None:
        self._save_tensors("crafted", fingerprint, tensors, {})

    def load_crafted(self, fingerprint: str) -> dict[str, Tensor]:
        return self._load_tensors("crafted", fingerprint)[0]

    def save_records(self, records: Sequence[Record]) -> None:
        """Write the records of one evaluation, one row per eps.

        All must share the evaluation, the provenance, and the names and shapes of their values.
        """
        evaluation, values = records[0].evaluation, records[0].values
        table = pa.table(
            {
                "eps": pa.array([r.eps for r in records], pa.float64()),
                "n": pa.array([len(r.correct) for r in records], pa.int64()),
                "n_correct": pa.array([int(r.correct.sum()) for r in records], pa.int64()),
                "seconds": pa.array([r.seconds for r in records], pa.float64()),
                "queries": pa.array([r.queries for r in records], pa.int64()),
                "score": pa.array([r.score for r in records], pa.list_(pa.float32())),
                "correct": pa.array([r.correct for r in records], pa.list_(pa.bool_())),
                "prediction": prediction_column([r.prediction for r in records]),
                "distance": pa.array([r.distance for r in records], pa.list_(pa.float32())),
                **{VALUE + name: _column([r.values[name] for r in records]) for name in values},
            }
        ).replace_schema_metadata(
            {
                "evaluation": evaluation.model_dump_json(),
                "provenance": json.dumps(dict(records[0].provenance)),
                "shapes": json.dumps({name: value.shape for name, value in values.items()}),
            }
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self._write(f"records/{evaluation.fingerprint}.parquet", sink.getvalue())

    def load_records(self, fingerprint: str) -> list[Record]:
        """Load the records of one evaluation, eps ascending; raise FileNotFoundError if there are none."""
        table = pq.read_table(pa.BufferReader(self._read(self._path("records", fingerprint))))
        evaluation = EvaluationSpec.model_validate_json(table.schema.metadata[b"evaluation"])
        provenance = json.loads(table.schema.metadata[b"provenance"])
        columns = {name: table.column(name) for name in table.column_names}
        shapes: dict[str, list[int]] = json.loads(table.schema.metadata[b"shapes"])
        return [
            Record(
                evaluation,
                eps=columns["eps"][row].as_py(),
                seconds=columns["seconds"][row].as_py(),
                queries=columns["queries"][row].as_py(),
                provenance=provenance,
                **{name: _array(columns[name][row]) for name in ("correct", "prediction", "distance")},
                score=_array(columns.get("score", columns["correct"])[row]).astype(np.float32),
                values={name: _array(columns[VALUE + name][row]).reshape(shape) for name, shape in shapes.items()},
            )
            for row in range(table.num_rows)
        ]

    def save_failure(self, fingerprint: str, failure: Mapping[str, Any]) -> None:
        self._write(f"failures/{fingerprint}.json", json.dumps(dict(failure), indent=1).encode())

    def load_failure(self, fingerprint: str) -> dict[str, Any]:
        content = self.read_file(f"failures/{fingerprint}.json")
        if content is None:
            raise FileNotFoundError(f"no failure of {fingerprint}")
        return json.loads(content)

    def write_file(self, name: str, content: bytes) -> str:
        """Write a file of the user's eyes (a report, a plot) under the root and return where it is."""
        self._write(name, content)
        return self.place(name)

    def read_file(self, name: str) -> bytes | None:
        """Return what `write_file` wrote; None if nothing did."""
        try:
            return self._read(f"{self.filesystem()[1]}/{name}").to_pybytes()
        except FileNotFoundError:
            return None

    def files(self, folder: str) -> list[tuple[str, float]]:
        """Return the name of each file in a folder under the root and when it was written, in the store's seconds."""
        found = [i for i in self._listed(folder) if i.type == pa.fs.FileType.File and i.extension != "tmp"]
        return [(f"{folder}/{info.base_name}", info.mtime_ns / 1e9) for info in found]

    def delete_file(self, name: str) -> None:
        """Delete what `write_file` wrote if it is there."""
        fs, root = self.filesystem()
        with contextlib.suppress(FileNotFoundError):
            self._ask(lambda: fs.delete_file(f"{root}/{name}"))

    def _ask(self, operation: Callable[[], Answer]) -> Answer:
        return operation() if self.is_local else ask(operation, self.root, patience=self.patience)

    def _listed(self, folder: str) -> list[pa.fs.FileInfo]:
        fs, root = self.filesystem()
        selector = pa.fs.FileSelector(f"{root}/{folder}", allow_not_found=True)
        return self._ask(lambda: fs.get_file_info(selector))

    def _read(self, path: str) -> pa.Buffer:
        """Read a file whole; an object store is asked twice, where a stream would ask for each 256 KiB."""
        fs, _ = self.filesystem()

        def whole() -> pa.Buffer:
            with fs.open_input_file(path) as file:
                return file.read_buffer()

        return self._ask(whole)

    def _path(self, kind: str, fingerprint: str) -> str:
        return f"{self.filesystem()[1]}/{kind}/{fingerprint}{KINDS[kind]}"

    def _save_tensors(
        self, kind: str, fingerprint: str, tensors: Mapping[str, Tensor], metadata: dict[str, str]
    ) -> None:
        # copies, since safetensors refuses tensors that share memory, as tied weights do
        flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        self._write(f"{kind}/{fingerprint}{KINDS[kind]}", safetensors.torch.save(flat, metadata))

    def _load_tensors(self, kind: str, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        content = self._read(self._path(kind, fingerprint)).to_pybytes()
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        return safetensors.torch.load(content), metadata

    def _write(self, name: str, content: bytes | pa.Buffer) -> None:
        fs, root = self.filesystem()
        path = f"{root}/{name}"
        if not self.is_local:  # an object store shows an object only when it is whole
            self._ask(lambda: _put(fs, path, content))
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        aside = f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk is not to be filled with halves
                os.unlink(aside)
            raise


def _put(fs: pa.fs.FileSystem, path: str, content: bytes | pa.Buffer) -> None:
    try:
        stream = fs.open_output_stream(path)
    except FileNotFoundError:  # a filesystem that has folders
        fs.create_dir(path.rpartition("/")[0], recursive=True)
        stream = fs.open_output_stream(path)
    with stream:
        stream.write(content)


@functools.cache
def _filesystem(root: str) -> tuple[pa.fs.FileSystem, str]:
    if "://" not in root:
        return pa.fs.LocalFileSystem(), root
    try:
        return pa.fs.FileSystem.from_uri(_in_one_request(root))
    except (pa.ArrowInvalid, OSError) as error:
        reason = scrubbed(str(error), root)
        raise InputError(f"root {without_password(root)!r} cannot be opened: {reason}") from None


def _in_one_request(uri: str) -> str:
    """Ask S3's filesystem to write a small object in one request instead of three."""
    if not uri.startswith("s3://") or S3_OPTION in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{S3_OPTION}=true"


def _story_of(metadata: Mapping[str, str]) -> Story:
    spec = TrainingSpec.model_validate_json(metadata["spec"])
    return spec, json.loads(metadata["history"]), json.loads(metadata.get("provenance", "{}"))
