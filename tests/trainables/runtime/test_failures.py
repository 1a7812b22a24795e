import pytest
import torch

from trainables.errors import InputError
from trainables.runtime.failures import BUG, DivergedError, Failure, class_of, class_of_dead_process, failure_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), "out of memory", id="GPU memory"),
        pytest.param(MemoryError(), "out of memory", id="memory"),
        pytest.param(DivergedError({"loss": float("nan")}, epoch=2, last={}), "diverged", id="loss"),
        pytest.param(InputError("eps must be"), "bad input", id="a user's mistake"),
        pytest.param(KeyError("x"), "bug", id="anything else"),
    ],
)
def test_an_error_has_a_class(error, expected):
    assert class_of(error) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", "out of memory"),
        ("The actor died unexpectedly before finishing this task.", "process died"),
        ("The actor 0a is unavailable: The actor is temporarily unavailable: RpcError", "node lost"),
        ("The actor is dead because its node has died. Node Id: 0a", "node lost"),
        ("", "process died"),
    ],
)
def test_a_dead_process_has_a_class(text, expected):
    assert class_of_dead_process(text) == expected


def test_memory_that_torch_does_not_get_on_the_cpu_is_no_bug():
    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        torch.empty(10**15)
    assert class_of(caught.value) == "out of memory"


def test_a_failure_is_described_by_its_first_line_and_its_traceback():
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        failure = failure_of(error, log="host:/file")
    assert failure.error == "ValueError: first"
    assert 'raise ValueError("first' in failure.traceback
    assert failure.log == "host:/file"
    assert failure.epoch is None
    assert "epoch" not in failure.as_json()


def test_a_diverged_training_says_in_which_epoch_and_what_was_before():
    failure = failure_of(DivergedError({"loss": float("inf")}, epoch=3, last={"loss": 0.5}))
    assert failure.epoch == 3
    assert failure.last_metrics == {"loss": 0.5}


DIVERGED = {"class": "diverged", "error": "e", "traceback": "t", "log": "l", "epoch": 3, "last_metrics": {"loss": 0.5}}


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param({"class": "bug", "error": "e", "traceback": "t", "log": ""}, id="of a worker"),
        pytest.param(DIVERGED, id="diverged"),
        pytest.param({**DIVERGED, "unit": "u"}, id="in the store"),
    ],
)
def test_a_failure_is_the_json_that_it_was_before_it_had_a_type(stored):
    assert list(Failure.from_json(stored).as_json().items()) == list(stored.items())


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param({}, Failure(BUG, ""), id="nothing"),
        pytest.param({"error": "e", "unit": "u"}, Failure(BUG, "e", unit="u"), id="no class"),
        pytest.param({"class": "no model", "error": "e", "traceback": ""}, Failure("no model", "e"), id="no log"),
    ],
)
def test_keys_that_a_stored_failure_lacks_have_defaults(stored, expected):
    assert Failure.from_json(stored) == expected
