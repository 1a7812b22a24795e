import re

import pytest

from orchestrator.cluster.packing import parse_memory, share_of
from trainables.errors import InputError

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GiB", 6 * GIB),
        ("0.5 GiB", GIB // 2),
        ("900MiB", 900 * 2**20),
        ("6gb", 6 * 10**9),
        (" 512MB ", 512 * 10**6),
    ],
)
def test_memory_is_a_number_and_its_unit(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "6", "GiB", "6 KiB", "0GiB", "-1GiB", "6GiB more", "nanGiB"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(InputError, match=re.escape(f"one of MiB, GiB, MB, GB, got {text!r} (such as 6GiB)")):
        parse_memory(text)


@pytest.mark.parametrize(
    ("need", "memory", "trials"),
    [
        pytest.param(6 * GIB, 24 * GIB, 4, id="four quarters"),
        pytest.param(6 * GIB, 24 * GIB - 1, 3, id="a byte too little for four"),
        pytest.param(24 * GIB, 24 * GIB, 1, id="all of it"),
        pytest.param(13 * GIB, 24 * GIB, 1, id="more than half"),
        pytest.param(1, 80 * GIB, 10_000, id="as little as Ray counts"),
        *(pytest.param(80 * GIB // k, 80 * GIB, k, id=f"{k} to a GPU") for k in (3, 7, 11, 13, 64, 99)),
    ],
)
def test_as_many_trials_as_fit_share_a_gpu(need, memory, trials):
    """As Ray adds shares up: in ten thousandths."""
    share = round(share_of(need, memory) * 10_000)
    assert share * trials <= 10_000 < share * (trials + 1)


def test_a_trial_that_no_gpu_holds_is_refused():
    with pytest.raises(InputError, match=re.escape("the smallest GPU, which has 24.00 GiB, got 25.00 GiB")):
        share_of(25 * GIB, 24 * GIB)
