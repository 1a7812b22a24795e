"""Records that a test writes out example by example: "1101" is right on all but the third; and what was measured."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tiny_study import STUDY

from orchestrator.plan import Plan, expand
from orchestrator.report import Summary, summarise
from orchestrator.store import Record, Store
from orchestrator.study import Study

Outcomes = Mapping[tuple[str, str, int], Mapping[float, str] | None]
Fill = Callable[..., tuple[Plan, Store]]


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
                store.save_records([_record(evaluation, eps, text, found) for eps, text in texts.items()])
        return plan, store

    return write


@pytest.fixture
def summary_of(fill) -> Callable[..., Summary]:
    """Summarise what `fill` writes."""
    return lambda *args, **kwargs: summarise(*fill(*args, **kwargs))


def _record(evaluation, eps, text, values) -> Record:
    correct = np.array([digit == "1" for digit in text])
    zeros = np.zeros(len(text))
    provenance = {"torch": "2.13.0", "code": {"commit": "abc"}}
    arrays = correct, zeros.astype(np.int32), zeros.astype(np.float32)
    return Record(evaluation, eps, *arrays, 0.5, 0, provenance, values)
