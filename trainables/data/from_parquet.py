"""Image tables in a folder of Parquet files (`train*`, `test*`), in the layout of the Hugging Face hub."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from trainables.data.splits import Images
from trainables.errors import InputError, first_line

GREY = ("1", "L", "LA")


def _tables(folder: Path, split: str) -> list[Path]:
    if not folder.is_dir():
        found = "it is a file" if folder.exists() else "it does not exist"
        raise InputError(
            f"dataset folder {str(folder)!r} must be a folder, and {found}: give "
            "one that holds train*.parquet and test*.parquet, as dataset=parquet:<folder>"
        )
    return sorted(file for at in (folder, folder / "data") for file in at.glob(f"{split}*.parquet"))


def _digest(folder: Path) -> str:
    """Hash the files that a folder's splits consist of, after checking their columns."""
    whole = hashlib.sha256()
    for split in ("train", "test"):
        files = _tables(folder, split)
        if not files:
            found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
            raise InputError(f"{str(folder)!r} must hold {split}*.parquet (or data/{split}*.parquet), found {found}")
        for file in files:
            stat = file.stat()
            whole.update(split.encode() + _file_digest(file, stat.st_mtime_ns, stat.st_size))
    return whole.hexdigest()[:20]


@functools.cache
def _file_digest(file: Path, mtime_ns: int, size: int) -> bytes:
    """Check and hash a file, again only when its time or size has changed."""
    _check_columns(file)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _check_columns(file: Path) -> None:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{str(file)!r} is no Parquet table: {first_line(error)}") from None
    image = schema.field("image").type if "image" in schema.names else None
    has_image = image is not None and pa.types.is_struct(image) and image.get_field_index("bytes") >= 0
    has_label = "label" in schema.names and pa.types.is_integer(schema.field("label").type)
    if not (has_image and has_label):
        got = ", ".join(f"{field.name}: {field.type}" for field in schema) or "none"
        raise InputError(
            f"{str(file)!r} must have the columns image: struct<bytes: binary, path: string> and label: int64, "
            f"got {got}"
        )


def read_parquet(argument: str, *, folder: Path, download: bool) -> tuple[Images, Images]:
    """Decode the tables of the folder that `argument` names."""
    return _read_folder(Path(argument))


def resolve_folder(argument: str) -> tuple[str, str]:
    """Return a folder's absolute path and the hash of its files; check their columns."""
    folder = Path(argument).expanduser().resolve()
    return str(folder), _digest(folder)


def _read_folder(folder: Path) -> tuple[Images, Images]:
    train, test = (_decoded(_tables(folder, split)) for split in ("train", "test"))
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        raise InputError(
            f"{str(folder)!r}: training images are {train.pixels.shape[1:]} (channels, height, width), "
            f"test images {test.pixels.shape[1:]}"
        )
    return train, test


def _decoded(files: list[Path]) -> Images:
    pixels, labels = [], []
    for file in files:
        table = pq.read_table(file, columns=["image", "label"])
        contents = table.column("image").combine_chunks().field("bytes")
        pixels += [_decode(content.as_py(), file, row) for row, content in enumerate(contents)]
        labels.append(table.column("label").to_numpy())
    shapes = {image.shape for image in pixels}
    if len(shapes) != 1:
        raise InputError(f"{str(files[0].parent)!r}: all images must have one size and mode, got {sorted(shapes)[:4]}")
    classes = np.concatenate(labels).astype(np.int64)
    if (classes < 0).any():
        raise InputError(f"{str(files[0].parent)!r}: labels must be >= 0, got {classes.min()}")
    return Images(np.stack(pixels), classes)


def _decode(content: bytes | None, file: Path, row: int) -> np.ndarray:
    """Return uint8 pixels [C, H, W]: one channel for grey images, else RGB."""
    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            mode = image.mode
            pixels = np.asarray(image.convert("L" if mode in GREY else "RGB"))
    except UnidentifiedImageError:
        raise InputError(f"{str(file)!r}: the image in row {row} is corrupt: it has no known format") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{str(file)!r}: the image in row {row} is corrupt: {first_line(error)}") from None
    if mode.startswith(("I", "F")):
        raise InputError(f"{str(file)!r}: images must have 8 bits a channel, got mode {mode} in row {row}")
    return pixels[None] if mode in GREY else pixels.transpose(2, 0, 1)
