import pytest
import torch
from torch import nn

from trainables.errors import InputError
from trainables.judges import CLASSIFICATION
from trainables.measures import MEASURES, Measure, MeasureSpec, measured


class FakeSpec(MeasureSpec):
    """A measure that a test writes."""

    name: str = "fake"


def test_a_value_that_is_no_array_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(MEASURES.added, "fake", Measure(FakeSpec, lambda *_, **__: {"mean": torch.ones(2)}))
    images, labels = torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2)
    with pytest.raises(InputError, match="measure fake: mean must be a numpy array, got Tensor"):
        measured(nn.Identity(), images, labels, spec=FakeSpec(), judge=CLASSIFICATION, seed=0)
