import json
import time

import pytest

from orchestrator.storage import claims
from orchestrator.storage.claims import FOLDER, Claims


@pytest.fixture
def two(store):
    with Claims(store) as one, Claims(store) as other:
        yield one, other


def test_what_one_driver_has_another_does_not_get(two):
    one, other = two
    assert one.take(["a", "b"])
    assert not other.take(["b", "c"])
    assert other.take(["c"])
    one.release(["a", "b"])
    assert other.take(["b"])


def test_what_was_not_given_is_not_kept(two):
    one, other = two
    one.take(["a"])
    other.take(["a", "b"])
    assert one.take(["b"])


def test_a_driver_may_claim_again_what_it_has(two):
    one, _ = two
    assert one.take(["a"])
    assert one.take(["a"])


def test_of_two_that_claim_at_once_the_later_lets_go(store, two):
    """A claim that appears between a driver's look and its own writing."""
    one, other = two

    class Meanwhile(Claims):
        looks = 0

        def _others(self):
            self.looks += 1
            return super()._others() if self.looks > 1 else {}

    one.take(["a"])
    with Meanwhile(store) as late:
        assert not late.take(["a"])
        assert late.take(["b"])
    assert not other.take(["a"])


def test_the_claims_of_a_dead_driver_are_free_once_they_are_stale(store, two, monkeypatch):
    _, other = two
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.5)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.1)
    store.write_file(f"{FOLDER}/dead.json", json.dumps({"a": time.time()}).encode())
    with Claims(store) as living:  # beats, so that the store's clock goes on
        living.take(["b"])
        assert not other.take(["a"])
        time.sleep(1.0)
        assert other.take(["a"])
        assert not other.take(["b"])


def test_a_driver_that_ends_leaves_nothing_behind(store):
    with Claims(store) as one:
        one.take(["a"])
        assert len(store.files(FOLDER)) == 1
    assert store.files(FOLDER) == []
