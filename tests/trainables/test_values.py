import pytest
from pydantic import ValidationError

from trainables.specs import TrainingSpec
from trainables.values import explain


def test_explain_gives_a_line_an_error_with_key_rule_and_value():
    with pytest.raises(ValidationError, match="2 validation errors for TrainingSpec") as caught:
        TrainingSpec(defense="none", epochs=0, seed="x")
    assert explain(caught.value).split("\n") == [
        "epochs: input should be greater than 0, got 0.",
        "seed: input should be a valid integer, unable to parse string as an integer, got 'x'.",
    ]
