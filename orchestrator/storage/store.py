"""Checkpoints, training states, records, crafted examples and failures, by fingerprint, on any pyarrow filesystem.

Layout under the root (each entry is one file, written aside and then renamed, so no reader sees half of one):

    checkpoints/<training>.safetensors   weights; the file's metadata has spec, history and provenance
    states/<training>.safetensors        an unfinished training, to be resumed
    records/<evaluation>.parquet         one row per eps, with the outcome of every example and measured values
    crafted/<crafting>.safetensors       adversarial examples of a transfer source
    failures/<unit>.json                 why a unit failed for good

Every entry is determined by its name, so two writers of one entry write the same content and either may win.
Nothing is pickled. Safe to share between processes: a store holds no state but its root and its patience.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import safetensors.torch
from torch import Tensor

from orchestrator.storage import record_table
from orchestrator.storage.files import Files
from orchestrator.storage.remote import PATIENCE_SECONDS
from trainables.results import Checkpoint, Record, Story
from trainables.runtime.failures import Failure
from trainables.specs import TrainingSpec

KINDS = {
    "checkpoints": ".safetensors",
    "states": ".safetensors",
    "records": ".parquet",
    "crafted": ".safetensors",
    "failures": ".json",
}
HEADER_BYTES = 1 << 17  # of a checkpoint, read at first for its history; a longer header takes a second read


class Store:
    """All that has been trained and evaluated, under one root: a folder or a URI such as s3://bucket/prefix.

    If a remote root does not answer, it is asked again for `patience` seconds, then RootError is raised, which is an
    OSError.
    """

    def __init__(self, root: str | os.PathLike[str], *, patience: float = 0.0) -> None:
        self._files = Files(root, patience=patience)

    @property
    def root(self) -> str:
        return self._files.root

    def patient(self) -> Store:
        """Return the same store for work that would be lost if the root did not answer for a moment."""
        return Store(self.root, patience=PATIENCE_SECONDS)

    @property
    def is_local(self) -> bool:
        return self._files.is_local

    @property
    def shown(self) -> str:
        """The root as it may be printed: without a password or a secret key."""
        return self._files.shown

    @property
    def local_folder(self) -> Path:
        """The folder of a driver's databases: the root, or for a remote root a folder of the working directory."""
        return Path(self.root) if self.is_local else Path("robust-sweep-results").absolute()

    def fingerprints(self, kind: str) -> set[str]:
        """Return the names of all entries of a kind, in one listing."""
        suffix = KINDS[kind]
        names = [info.base_name for info in self._files.listed(kind)]
        return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

    def has(self, kind: str, fingerprint: str) -> bool:
        return self._files.exists(_entry(kind, fingerprint))

    def delete(self, kind: str, fingerprint: str) -> None:
        """Delete an entry if it is there."""
        self._files.delete(_entry(kind, fingerprint))

    def filesystem(self) -> tuple[pa.fs.FileSystem, str]:
        """Return the filesystem and the root's path within it."""
        return self._files.filesystem()

    def check_writable(self) -> None:
        """Raise InputError if the root cannot be written."""
        self._files.check_writable()

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
        header = self._files.read_header(_entry("checkpoints", fingerprint), expected=HEADER_BYTES)
        return _story_of(json.loads(header)["__metadata__"])

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
        self._files.write(_entry("records", records[0].evaluation.fingerprint), record_table.as_parquet(records))

    def load_records(self, fingerprint: str) -> list[Record]:
        """Load the records of one evaluation, eps ascending; raise FileNotFoundError if there are none."""
        return record_table.read(self._files.read(_entry("records", fingerprint)))

    def save_failure(self, fingerprint: str, failure: Failure) -> None:
        self._files.write(_entry("failures", fingerprint), json.dumps(failure.as_json(), indent=1).encode())

    def load_failure(self, fingerprint: str) -> Failure:
        content = self.read_file(_entry("failures", fingerprint))
        if content is None:
            raise FileNotFoundError(f"no failure of {fingerprint}")
        return Failure.from_json(json.loads(content))

    def write_file(self, name: str, content: bytes) -> str:
        """Write a user-facing file (a report, a plot) under the root and return where it is."""
        self._files.write(name, content)
        return self.place(name)

    def place(self, name: str) -> str:
        """Return where a file under the root is, as it may be printed."""
        return self._files.place(name)

    def read_file(self, name: str) -> bytes | None:
        """Return the content that `write_file` wrote; None if there is no such file."""
        try:
            return self._files.read(name).to_pybytes()
        except FileNotFoundError:
            return None

    def files(self, folder: str) -> list[tuple[str, float]]:
        """Return the name of each file in a folder under the root and when it was written, in the store's seconds."""
        found = [i for i in self._files.listed(folder) if i.type == pa.fs.FileType.File and i.extension != "tmp"]
        return [(f"{folder}/{info.base_name}", info.mtime_ns / 1e9) for info in found]

    def delete_file(self, name: str) -> None:
        """Delete a file that `write_file` wrote if it is there."""
        self._files.delete(name)

    def _save_tensors(
        self, kind: str, fingerprint: str, tensors: Mapping[str, Tensor], metadata: dict[str, str]
    ) -> None:
        # copies, since safetensors refuses tensors that share memory, as tied weights do
        flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        self._files.write(_entry(kind, fingerprint), safetensors.torch.save(flat, metadata))

    def _load_tensors(self, kind: str, fingerprint: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        content = self._files.read(_entry(kind, fingerprint)).to_pybytes()
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        return safetensors.torch.load(content), metadata


def _entry(kind: str, fingerprint: str) -> str:
    """Name an entry's file below the root."""
    return f"{kind}/{fingerprint}{KINDS[kind]}"


def _story_of(metadata: Mapping[str, str]) -> Story:
    spec = TrainingSpec.model_validate_json(metadata["spec"])
    return Story(spec, json.loads(metadata["history"]), json.loads(metadata.get("provenance", "{}")))
