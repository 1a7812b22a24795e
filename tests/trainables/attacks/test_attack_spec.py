import pytest

from trainables.attacks.registry import attack_spec
from trainables.errors import InputError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"eps": [8]}, r"must be in \(0, 1\] for norm linf, got 8.0 \(did you mean 8/255\?\)", id="eps 8"),
        pytest.param({"eps": [0.1, 300]}, r"must be in \(0, 1\] for norm linf, got 300.0\.?$", id="eps 300"),
        pytest.param({"eps": [0.2, 0.1]}, r"eps must ascend without repeats, got \[0\.2, 0\.1\]", id="descending"),
        pytest.param({"eps": [0.1, "1/10"]}, r"must ascend without repeats, got \[0\.1, 0\.1\]", id="repeated"),
        pytest.param({"eps": []}, "at least one", id="no eps"),
        pytest.param({"eps": [0]}, "greater than 0", id="eps 0"),
        pytest.param({"eps": [-0.1]}, "greater than 0", id="negative eps"),
        pytest.param({"eps": ["8%"]}, "'8%'", id="eps that is no number"),
        pytest.param({"eps": [float("nan")]}, "got nan", id="eps nan"),
        pytest.param({"eps": 0.1}, "eps: .*valid tuple", id="eps alone"),
        pytest.param({}, "eps: field required", id="eps missing"),
        pytest.param({"eps": [0.1], "steps": 0}, "steps: .*greater than 0, got 0", id="no steps"),
        pytest.param(
            {"eps": [0.1], "step_size": 2},
            r"step_size must be in \(0, 1\] for norm linf, got 2",
            id="step beyond the image scale",
        ),
        pytest.param(
            {"eps": [0.1], "step_size": 0.1, "relative_step": 0.1},
            "step_size or relative_step, not both",
            id="two steps",
        ),
        pytest.param({"eps": [0.1], "restarts": 2, "random_start": False}, "repeat themselves", id="equal restarts"),
        pytest.param(
            {"eps": [0.1], "norm": "l3"},
            r"norm: unknown norm 'l3'\. Did you mean 'l2'\? Known: .*l1, l2, linf",
            id="norm",
        ),
        pytest.param({"eps": [0.1], "step": 3}, "unknown key 'step'. Did you mean 'steps'", id="key"),
        pytest.param({"name": "pdg", "eps": [0.1]}, "unknown attack 'pdg'. Did you mean 'pgd'", id="attack"),
        pytest.param({"name": None, "eps": [0.1]}, "unknown attack None. Known: .*fgsm", id="no attack"),
    ],
)
def test_attack_spec_refuses(values, message):
    with pytest.raises(InputError, match=message):
        attack_spec({"name": "pgd"} | values)


def test_an_attack_must_be_a_mapping():
    with pytest.raises(InputError, match="must be a mapping with a name and an eps grid, got 'pgd'"):
        attack_spec("pgd")


def test_eps_may_be_a_fraction_of_the_8_bit_scale():
    assert attack_spec({"name": "fgsm", "eps": ["8/255", "0.3"]}).eps == (8 / 255, 0.3)


def test_eps_of_l2_may_exceed_one():
    assert attack_spec({"name": "fgsm", "norm": "l2", "eps": [0.5, 3]}).eps == (0.5, 3.0)


@pytest.mark.parametrize(
    ("settings", "step"),
    [
        pytest.param({}, 2.5 / 40 * 0.2, id="default"),
        pytest.param({"steps": 10}, 2.5 / 10 * 0.2, id="default follows the steps"),
        pytest.param({"relative_step": 0.25}, 0.25 * 0.2, id="relative"),
        pytest.param({"step_size": 0.01}, 0.01, id="absolute"),
    ],
)
def test_pgd_step(settings, step):
    assert attack_spec({"name": "pgd", "eps": [0.2]} | settings).step(0.2) == pytest.approx(step)
