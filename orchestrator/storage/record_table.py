"""Records as a Parquet table: a row for each eps, with the outcome of every example and what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.results import Record
from trainables.specs import EvaluationSpec

VALUE = "value."  # before the name of a measured value, in the name of its column


def as_parquet(records: Sequence[Record]) -> pa.Buffer:
    """Return the Parquet file of one evaluation's records.

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
            "prediction": _prediction_column([r.prediction for r in records]),
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
    return sink.getvalue()


def read(content: pa.Buffer) -> list[Record]:
    """Return the records in a Parquet file, in the order of its rows."""
    table = pq.read_table(pa.BufferReader(content))
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


def _column(values: Sequence[np.ndarray]) -> pa.Array:
    """Return a list a row, of booleans or of float64; a matrix is as_parquet row after row."""
    number = pa.bool_() if values[0].dtype == bool else pa.float64()
    return pa.array([value.ravel() for value in values], pa.list_(number))


def _prediction_column(values: Sequence[np.ndarray]) -> pa.Array:
    """Return a list a row: int32 classes, or float32 values."""
    number = pa.int32() if np.issubdtype(values[0].dtype, np.integer) else pa.float32()
    return pa.array([value.ravel() for value in values], pa.list_(number))


def _array(row: pa.ListScalar) -> np.ndarray:
    return row.values.to_numpy(zero_copy_only=False)
