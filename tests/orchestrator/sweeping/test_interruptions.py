"""A process that dies at each moment at which it changes the store, one after the other, without Ray."""

import uuid
from pathlib import Path

import pytest
from killing import Snapshot, assert_same, run_here

from orchestrator.planning.plan import expand
from orchestrator.storage.claims import Claims
from orchestrator.storage.files import Files
from orchestrator.storage.litter import clear_litter
from orchestrator.storage.store import Store
from search_spaces.study import Study, Transfer

STUDY = Study(
    name="interrupted",
    title="A study whose process dies",
    base={"dataset": "digits", "dataset.train_examples": 128, "network.width": 3, "epochs": 3},
    space=({"defense": ("none",)},),
    attacks={"pgd": {"name": "pgd", "eps": (0.05, 0.1), "steps": 2}},
    transfers={"transfer": Transfer(attack="pgd", source={"defense": "none"})},
    seeds=(0, 1),
    examples=24,
)
# Two trainings: two states, a checkpoint, a state's end. Of each model: two records, examples for the other, a record.
CHANGES = 2 * (2 + 1 + 1) + 2 * (2 + 1 + 1)


class Death(BaseException):
    """The process is gone: nothing of it catches this."""


class Mortal(Store):
    """A store whose process dies at its change number `last`: before it, in the midst of it or after it."""

    def __init__(self, root, *, last, when):
        super().__init__(root)
        self._files = MortalFiles(root, self)
        self.last, self.when, self.changes = last, when, 0

    def delete(self, kind, fingerprint):
        self.die_at(lambda: Store.delete(self, kind, fingerprint), halfway=lambda: None)

    def die_at(self, change, *, halfway):
        self.changes += 1
        if self.changes < self.last:
            change()
            return
        {"before": lambda: None, "amid": halfway, "after": change}[self.when]()
        raise Death


class MortalFiles(Files):
    """Files whose writes are changes of a mortal store."""

    def __init__(self, root, mortal):
        super().__init__(root)
        self.mortal = mortal

    def write(self, name, content):
        self.mortal.die_at(lambda: Files.write(self, name, content), halfway=lambda: self._half(name, content))

    def _half(self, name, content):
        path = Path(self.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp").write_bytes(bytes(content)[: len(content) // 2])


@pytest.fixture(scope="module")
def plan():
    return expand(STUDY)


@pytest.fixture(scope="module")
def reference(plan, tmp_path_factory):
    return run_here(plan, Store(tmp_path_factory.mktemp("reference")))


def run_mortal(plan, root, *, last, when):
    """Run what is left as a driver does; return whether it lived to the end."""
    store = Store(root)
    with Claims(store):
        clear_litter(store)
    try:
        run_here(plan, Mortal(root, last=last, when=when), state_seconds=0.0)
    except Death:
        return False
    return True


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_death_at_any_change_of_the_store_loses_nothing_and_repeats_nothing(when, plan, reference, tmp_path):
    for last in range(1, CHANGES + 1):
        store = Store(tmp_path / str(last))
        assert not run_mortal(plan, store.root, last=last, when=when), last
        before = Snapshot.of(store)
        assert run_mortal(plan, store.root, last=CHANGES + 1, when=when), last
        before.assert_kept(store)
        assert_same(plan, store, reference)


def test_a_process_that_always_dies_after_its_first_change_gets_to_the_end(plan, reference, tmp_path):
    store, deaths, before = Store(tmp_path), 0, Snapshot({}, {})
    while not run_mortal(plan, tmp_path, last=1, when="after"):
        deaths += 1
        before.assert_kept(store)
        before = Snapshot.of(store)
    assert deaths < CHANGES  # less the states that the next process deletes
    assert_same(plan, store, reference)
