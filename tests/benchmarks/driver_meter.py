"""A sweep of many short trials with its driver's CPU time and memory after each, as JSON lines.

    python driver_meter.py ROOT TRIALS

Half of the trials are trainings of one epoch, half the evaluations of these. Progress and MLflow are listeners as in
`robust-sweep run`; what the driver spends before the first trial ends (imports, Ray, MLflow's database) shows there.
"""

import json
import sys
import time

import psutil
from rich.console import Console

from orchestrator.cluster.resources import Resources
from orchestrator.commands.progress import Progress
from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep
from orchestrator.sweeping.remainder import remainder
from orchestrator.tracking.book import default_uri, parent_of
from orchestrator.tracking.tracker import Tracker
from search_spaces.study import Study


class Meter:
    """A listener that notes the driver's CPU seconds (threads included) and resident MiB at the end of each trial."""

    def __init__(self):
        self.process, self.notes, self.start = psutil.Process(), [], time.monotonic()

    def finished(self, unit):
        times = self.process.cpu_times()
        self.notes.append(
            {
                "trial": len(self.notes) + 1,
                "seconds": time.monotonic() - self.start,
                "cpu": times.user + times.system,
                "mib": self.process.memory_info().rss / 2**20,
            }
        )

    def ignore(self, *_):
        pass

    begin = started = progressed = done_elsewhere = failed = given_up = ignore


def main(root: str, trials: int) -> None:
    study = Study(
        name="driver-meter",
        title="Many short trials",
        base={"dataset": "digits", "dataset.train_examples": 128, "network.width": 4, "epochs": 1, "defense": "none"},
        space=({},),
        seeds=tuple(range(trials // 2)),
        examples=32,
    )
    plan, store, meter = expand(study), Store(root), Meter()
    rest = remainder(plan, store)
    datasets = sweep.load_datasets(plan, rest)
    tracker = Tracker(parent_of(plan), [plan], store, default_uri(store))
    with open("progress.txt", "w") as lines, Progress(Console(file=lines)) as progress:
        result = sweep.run_plan(
            plan,
            store,
            datasets,
            resources=Resources(max_concurrent=2),
            listeners=(progress, tracker, meter),
            rest=rest,
        )
    tracker.close({}, "", status="FINISHED")
    assert result.done == trials, result
    assert tracker.error is None, tracker.error
    print("\n".join(map(json.dumps, meter.notes)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
