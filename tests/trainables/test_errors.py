import pytest

from trainables.errors import InputError, unknown


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        pytest.param("pdg", ["fgsm", "pgd"], "unknown attack 'pdg'. Did you mean 'pgd'? Known: fgsm, pgd.", id="near"),
        pytest.param("xyz", ["fgsm", "pgd"], "unknown attack 'xyz'. Known: fgsm, pgd.", id="nothing near"),
        pytest.param(None, ["pgd"], "unknown attack None. Known: pgd.", id="no name"),
        pytest.param("pgd", [], "unknown attack 'pgd'. Known: none.", id="nothing known"),
    ],
)
def test_unknown_lists_the_known_names_and_the_nearest(name, known, message):
    error = unknown("attack", name, known)
    assert isinstance(error, InputError)
    assert str(error) == message
