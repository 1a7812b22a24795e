"""The remainder: a plan minus what the store already has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from trainables.specs import EvaluationSpec, TrainingSpec


@dataclass(frozen=True)
class Remainder:
    """The part of a plan that the store lacks, and the part that it has."""

    trainings: tuple[TrainingSpec, ...]
    evaluations: tuple[EvaluationSpec, ...]
    trained: frozenset[str]
    evaluated: frozenset[str]

    @property
    def is_empty(self) -> bool:
        return not self.trainings and not self.evaluations

    @property
    def fingerprints(self) -> frozenset[str]:
        """The names of all that is left to run."""
        return frozenset({s.fingerprint for s in self.trainings} | {s.fingerprint for s in self.evaluations})


def remainder(plan: Plan, store: Store) -> Remainder:
    """Compare a plan with a store, in one listing of the store a kind."""
    trained = store.fingerprints("checkpoints") & set(plan.trainings)
    evaluated = store.fingerprints("records") & set(plan.evaluations)
    return Remainder(
        tuple(spec for f, spec in plan.trainings.items() if f not in trained),
        tuple(spec for f, spec in plan.evaluations.items() if f not in evaluated),
        frozenset(trained),
        frozenset(evaluated),
    )


def only_failed(rest: Remainder, store: Store) -> Remainder:
    """Return those specs of a remainder that failed, or that did not run because a training failed."""
    failed = store.fingerprints("failures")
    return replace(
        rest,
        trainings=tuple(spec for spec in rest.trainings if spec.fingerprint in failed),
        evaluations=tuple(spec for spec in rest.evaluations if spec.fingerprint in failed),
    )
