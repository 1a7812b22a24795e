"""Records as a Parquet table: a row for each eps, with the outcome of every example and the measured values."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.results import Record
from trainables.specs import EvaluationSpec

VALUE = "value."  # before the name of a measured value, in the name of its column
PREDICTION_SHAPE = "prediction_shape"  # of one example; the key is there only if a prediction is not one number


def as_parquet(records: Sequence[Record]) -> pa.Buffer:
    """Return the Parquet file of one evaluation's records.

    All must share the evaluation, the provenance, the shape of a prediction, and the names and shapes of their values.
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
            **_prediction_shape(records[0].prediction),
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
    shape_of_one: list[int] | None = json.loads(table.schema.metadata.get(PREDICTION_SHAPE.encode(), b"null"))
    return [
        Record(
            evaluation,
            eps=columns["eps"][row].as_py(),
            seconds=columns["seconds"][row].as_py(),
            queries=columns["queries"][row].as_py(),
            provenance=provenance,
            **{name: _array(columns[name][row]) for name in ("correct", "distance")},
            prediction=_predictions(columns["prediction"][row], columns["n"][row].as_py(), shape_of_one),
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


def _prediction_shape(predictions: np.ndarray) -> dict[str, str]:
    """Return the metadata of predictions [N, ...]: the shape of one; none if it is one number."""
    return {PREDICTION_SHAPE: json.dumps(predictions.shape[1:])} if predictions.ndim > 1 else {}


def _predictions(row: pa.ListScalar, n: int, shape_of_one: list[int] | None) -> np.ndarray:
    """Return the predictions of n examples; flat, as they are stored, if the file does not have the shape of one."""
    flat = _array(row)
    return flat if shape_of_one is None else flat.reshape(n, *shape_of_one)


def _array(row: pa.ListScalar) -> np.ndarray:
    return row.values.to_numpy(zero_copy_only=False)
