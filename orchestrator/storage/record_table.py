"""TODO: one line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.fs

VALUE = "value."  # before the name of a record's column of what a measure found


def _column(values: Sequence[np.ndarray]) -> pa.Array:
    """Return a list a row: of booleans or of float64, a matrix row after row."""
    number = pa.bool_() if values[0].dtype == bool else pa.float64()
    return pa.array([value.ravel() for value in values], pa.list_(number))


def prediction_column(values: Sequence[np.ndarray]) -> pa.Array:
    """Return a list a row: int32 classes, or float32 values."""
    number = pa.int32() if np.issubdtype(values[0].dtype, np.integer) else pa.float32()
    return pa.array([value.ravel() for value in values], pa.list_(number))


def _array(row: pa.ListScalar) -> np.ndarray:
    return row.values.to_numpy(zero_copy_only=False)
