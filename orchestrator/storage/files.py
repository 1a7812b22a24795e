"""Files under one root, a folder or a URI such as s3://bucket/prefix: read, listed, and written as a whole."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.fs

from orchestrator.storage.remote import ask
from orchestrator.uris import scrubbed, without_password
from trainables.errors import InputError

Answer = TypeVar("Answer")
NO_BUCKET = re.compile(r"(s3|gs|gcs)://(?:[^/?]*@)?(?:[/?]|$)")
S3_OPTION = "allow_delayed_open"


class Files:
    """The files under a root, by their names below it. It holds no state but the root and its patience.

    If a remote root does not answer, every operation is tried again for `patience` seconds, then RootError is raised,
    which is an OSError.
    """

    def __init__(self, root: str | os.PathLike[str], *, patience: float = 0.0) -> None:
        self.patience = patience
        text = _local_path(os.fspath(root))
        self.root = text if "://" in text else str(Path(text).expanduser().absolute())

    @property
    def is_local(self) -> bool:
        return "://" not in self.root

    @property
    def shown(self) -> str:
        """The root as it may be printed: without a password or a secret key."""
        return self.root if self.is_local else without_password(self.root)

    def place(self, name: str) -> str:
        """Return where a file is, as it may be printed."""
        root, mark, query = self.shown.partition("?")
        return f"{root}/{name}{mark}{query}"

    def filesystem(self) -> tuple[pa.fs.FileSystem, str]:
        """Return the filesystem and the root's path within it."""
        return _filesystem(self.root)

    def exists(self, name: str) -> bool:
        fs, root = self.filesystem()
        return self._ask(lambda: fs.get_file_info(f"{root}/{name}").type != pa.fs.FileType.NotFound)

    def listed(self, folder: str) -> list[pa.fs.FileInfo]:
        """Return what is in a folder, in one listing; nothing if there is no such folder."""
        fs, root = self.filesystem()
        selector = pa.fs.FileSelector(f"{root}/{folder}", allow_not_found=True)
        return self._ask(lambda: fs.get_file_info(selector))

    def read(self, name: str) -> pa.Buffer:
        """Read a whole file in two requests to an object store, where a stream would send one for each 256 KiB.

        Raise FileNotFoundError if there is none.
        """
        fs, root = self.filesystem()

        def whole() -> pa.Buffer:
            with fs.open_input_file(f"{root}/{name}") as file:
                return file.read_buffer()

        return self._ask(whole)

    def read_header(self, name: str, *, expected: int) -> bytes:
        """Read the header of a safetensors file, in one read if it has at most `expected` bytes."""
        fs, root = self.filesystem()

        def header() -> bytes:
            with fs.open_input_file(f"{root}/{name}") as file:
                content: bytes = file.read(expected)
                end = 8 + int.from_bytes(content[:8], "little")
                return (content if end <= len(content) else content + file.read(end - len(content)))[8:end]

        return self._ask(header)

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file so that no reader ever sees half of it."""
        fs, root = self.filesystem()
        path = f"{root}/{name}"
        if self.is_local:
            _write_aside(path, content)
        else:  # an object store shows an object only when it is whole
            self._ask(lambda: _put(fs, path, content))

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        fs, root = self.filesystem()
        with contextlib.suppress(FileNotFoundError):
            self._ask(lambda: fs.delete_file(f"{root}/{name}"))

    def check_writable(self) -> None:
        """Write and delete a probe; raise InputError if the root cannot be written."""
        try:
            probe = f"probe.{uuid.uuid4().hex}.tmp"
            self.write(probe, b"")
            self.delete(probe)
        except OSError as error:
            reason = (error.strerror or str(error)).removeprefix(f"root {self.shown!r}: ")
            raise InputError(
                f"root {self.shown!r} must be a folder that can be written: {reason} "
                "(choose another with --root or ROBUST_SWEEP_ROOT)"
            ) from None

    def _ask(self, operation: Callable[[], Answer]) -> Answer:
        return operation() if self.is_local else ask(operation, self.root, patience=self.patience)


def _local_path(root: str) -> str:
    """Return a file URI's path, any other root as it is; raise InputError for a file URI without a whole path."""
    path = root.removeprefix("file://")
    if path != root and not path.startswith("/"):
        raise InputError(f"a root that is a file URI must give a whole path, got {root!r} (file:///data/results)")
    return path


def _write_aside(path: str, content: bytes | pa.Buffer) -> None:
    """Write beside the path, then rename."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    aside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):  # leave no half file on a full disk
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
    if found := NO_BUCKET.match(root):
        raise InputError(f"a root must name a bucket, got {without_password(root)!r} ({found[1]}://bucket/prefix)")
    try:
        return pa.fs.FileSystem.from_uri(_in_one_request(root))
    except (pa.ArrowInvalid, OSError) as error:
        reason = scrubbed(str(error), root)
        raise InputError(f"root {without_password(root)!r} cannot be opened: {reason}") from None


def _in_one_request(uri: str) -> str:
    """Make S3's filesystem write a small object in one request instead of three."""
    if not uri.startswith("s3://") or S3_OPTION in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{S3_OPTION}=true"
