"""Folders of small Parquet tables with images, as the Hugging Face hub has them."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainables.data.datasets import load, resolve
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Splits

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_table(file, contents, labels):
    """Write a table as the Hugging Face hub has it; `contents` are pixels or the bytes of a file."""
    encoded = [c if isinstance(c, bytes | None) else png(c) for c in contents]
    rows = [{"bytes": e, "path": f"{i}.png"} for i, e in enumerate(encoded)]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": pa.array(rows, IMAGE), "label": pa.array(labels, pa.int64())}), file)


def noise(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def folder_of(folder, contents=None, labels=(0, 1, 2, 1)):
    """Write a folder that can be loaded, but for the training images that are given."""
    write_table(folder / "train.parquet", noise(4, 6, 5) if contents is None else contents, labels)
    write_table(folder / "test.parquet", noise(3, 6, 5, seed=1), [2, 1, 0])
    return folder


def read(folder, **settings):
    return load(resolve(DatasetSpec(name=f"parquet:{folder}", **settings)))


def rows(*parts):
    """Return images with their labels as a sorted list, to compare sets that may hold an image twice."""
    return sorted((image.tobytes(), int(label)) for p in parts for image, label in zip(p.pixels, p.labels, strict=True))


def same(a: Splits, b: Splits) -> bool:
    parts = ("train", "validation", "test")
    return all(
        np.array_equal(getattr(getattr(a, part), field), getattr(getattr(b, part), field))
        for part in parts
        for field in ("pixels", "labels")
    )
