import pytest
from pydantic import ValidationError

from trainables.fitting.optimisation import OptimisationSpec


@pytest.mark.parametrize(
    ("settings", "got"),
    [({}, "optimizer=adam, momentum=0.9"), ({"optimizer": "sgd", "momentum": 0}, "optimizer=sgd, momentum=0")],
    ids=["adam", "without momentum"],
)
def test_nesterov_without_the_momentum_of_sgd_is_refused(settings, got):
    with pytest.raises(ValidationError, match=f"nesterov needs optimizer=sgd and a momentum above 0, got {got}"):
        OptimisationSpec(nesterov=True, **settings)
