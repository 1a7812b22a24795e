import pytest
import torch

from trainables.runtime.randomness import current, resumed, seeded

CPU = torch.device("cpu")


def test_seeded_draws_depend_on_nothing_but_the_seed():
    def draw(seed):
        torch.rand(1)
        with seeded(seed, CPU):
            return torch.rand(5)

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_resumed_goes_on_where_current_stood():
    with seeded(0, CPU):
        torch.rand(3)
        states = current(CPU)
        expected = torch.rand(5)
    torch.rand(7)
    with resumed(states, CPU):
        assert torch.equal(torch.rand(5), expected)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(lambda: seeded(0, CPU), id="seeded"),
        pytest.param(lambda: resumed([torch.Generator().manual_seed(5).get_state()], CPU), id="resumed"),
    ],
)
def test_the_global_rng_is_restored_even_after_an_error(block):
    def fail():
        torch.rand(3)
        raise KeyError("inside")

    before = torch.get_rng_state()
    with pytest.raises(KeyError, match="inside"), block():
        fail()
    assert torch.equal(before, torch.get_rng_state())
