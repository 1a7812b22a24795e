import pytest

from trainables.errors import InputError
from trainables.measures.registry import measure_spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"name": "gradient"}, "unknown measure 'gradient'. Did you mean 'gradients'", id="name"),
        pytest.param({}, "unknown measure None. Known: .*gradients", id="no name"),
        pytest.param({"name": "gradients", "drws": 3}, "unknown key 'drws'. Did you mean 'draws'", id="key"),
        pytest.param({"name": "gradients", "draws": 1}, "draws: .*greater than or equal to 2, got 1", id="one draw"),
        pytest.param({"name": "gradients", "vanishing_below": 0}, "greater than 0, got 0", id="nothing is below 0"),
        pytest.param({"name": "certification", "eps": [0.5, 0.25]}, "eps must ascend without", id="radii descend"),
        pytest.param({"name": "certification", "eps": []}, "at least one value", id="no radius"),
        pytest.param({"name": "certification", "eps": [0]}, "greater than 0, got 0", id="radius 0"),
        pytest.param({"name": "certification", "alpha": 1}, "alpha: .*less than 1, got 1", id="sure to be wrong"),
        pytest.param({"name": "certification", "view": "joint_loss"}, "'default' or 'static'", id="no logits alone"),
        pytest.param({"name": "gradient_landscape", "view": "joint_loss"}, "got loss cross_entropy", id="no logits"),
        pytest.param({"name": "embedding_sensitivity"}, "attack: field required", id="no attack"),
        pytest.param(
            {"name": "embedding_sensitivity", "attack": {"name": "pgd"}}, "eps: field required", id="attack without eps"
        ),
        pytest.param(
            {"name": "embedding_sensitivity", "attack": {"name": "suite", "eps": [0.1], "attacks": [{"name": "fgsm"}]}},
            "attack must be one attack, got a suite",
            id="suite",
        ),
        pytest.param({"name": "clustering", "clusters": 1}, "greater than or equal to 2, got 1", id="one cluster"),
        pytest.param({"name": "activation_units", "variance": 1}, "less than 1, got 1", id="all of the variance"),
        pytest.param({"name": "gradients", "loss": "joint"}, "loss joint goes with view joint_loss", id="loss alone"),
        pytest.param({"name": "gradients", "view": "joint_loss"}, "got loss cross_entropy and view", id="view alone"),
    ],
)
def test_measure_spec_refuses(values, message):
    with pytest.raises(InputError, match=message):
        measure_spec(values)
