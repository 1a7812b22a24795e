import io
import itertools

import pytest
from rich.console import Console

from orchestrator.commands.progress import ROWS, Progress
from orchestrator.searching.history import SearchTrial
from orchestrator.sweeping.remainder import remainder
from orchestrator.sweeping.schedule import Schedule
from trainables.runtime.failures import Failure


@pytest.fixture
def units(small_plan, store):
    return list(Schedule(remainder(small_plan, store), slots=1).units.values())


@pytest.fixture
def begun(small_plan, store, units):
    """Return a progress that has begun, on a terminal or not, and what it printed so far."""

    def begin(*, terminal=False, slots=1):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
        progress = Progress(console)
        progress.begin(small_plan, remainder(small_plan, store), units, slots)
        return progress, out

    return begin


def run(progress, unit, *, seconds=0.0):
    """Let a unit start so many seconds ago and end now."""
    progress.started(unit)
    progress.running[unit.name].since -= seconds
    progress.finished(unit)


def test_units_are_counted_by_kind_and_by_how_they_ended(begun, units):
    progress, _ = begun()
    trainings = [unit for unit in units if unit.training]
    evaluations = [unit for unit in units if not unit.training]
    run(progress, trainings[0])
    progress.started(trainings[1])
    progress.failed(trainings[1], Failure("bug", "no"))
    progress.started(trainings[2])
    run(progress, evaluations[0])
    counts = {name: (t.total, t.done, t.failed, t.left) for name, t in progress.tallies.items()}
    assert counts == {
        "trainings": (len(trainings), 1, 1, len(trainings) - 2),
        "evaluations": (len(evaluations), 1, 0, len(evaluations) - 1),
    }
    assert list(progress.running) == [trainings[2].name]


def test_the_time_left_is_unknown_before_anything_is_done(begun, units):
    progress, _ = begun()
    assert progress.seconds_left() is None
    progress.started(units[0])
    progress.failed(units[0], Failure("bug", "no"))
    assert progress.seconds_left() is None


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_the_time_left_is_that_of_the_units_left_over_the_slots(begun, units, slots):
    progress, _ = begun(slots=slots)
    lefts = []
    for number, unit in enumerate(units, start=1):
        run(progress, unit, seconds=10)
        lefts.append(progress.seconds_left())
        assert lefts[-1] == pytest.approx(10 * (len(units) - number) / slots, abs=1)
    assert all(later < earlier for earlier, later in itertools.pairwise(lefts))
    assert lefts[-1] == 0


def test_the_time_left_knows_trainings_from_evaluations(begun, units):
    progress, _ = begun()
    trainings = [unit for unit in units if unit.training]
    evaluations = [unit for unit in units if not unit.training]
    run(progress, trainings[0], seconds=100)
    run(progress, evaluations[0], seconds=1)
    expected = 100 * (len(trainings) - 1) + (len(evaluations) - 1)
    assert progress.seconds_left() == pytest.approx(expected, abs=1)


def test_the_time_left_counts_what_running_units_have_done_and_is_never_negative(begun, units):
    progress, _ = begun()
    run(progress, units[0], seconds=10)
    before = progress.seconds_left()
    progress.started(units[1])
    progress.running[units[1].name].since -= 4
    assert progress.seconds_left() == pytest.approx(before - 4, abs=1)
    progress.running[units[1].name].since -= 1e6
    assert progress.seconds_left() == 0


def test_elsewhere_than_on_a_terminal_every_unit_is_a_line(begun, units):
    progress, out = begun(slots=3)
    with progress:
        for unit in units[:-1]:
            progress.started(unit)
            progress.progressed(unit, {"loss": 0.5, "epoch": 1})
            progress.finished(unit)
        progress.failed(units[-1], Failure("diverged", "diverged"))
    first, *lines, last = out.getvalue().splitlines()
    total = len(units)
    assert f"0/{total}  {total} trials to run, 3 at a time" in first
    assert len(lines) == total - 1
    for number, line in enumerate(lines, start=1):
        assert f"{number}/{total}  done" in line
        assert "loss 0.500" in line
    assert last.startswith("failed")
    assert last.endswith("diverged")


def test_a_line_names_the_model_and_its_seed(begun, units, small_plan):
    progress, out = begun()
    for unit in units:
        run(progress, unit)
    text = out.getvalue()
    for variant, seed in itertools.product(small_plan.variants, small_plan.seeds):
        assert f"train     {variant.label} seed={seed}" in text
        assert f"evaluate  {variant.label} seed={seed}" in text
    assert "transfer  none seed=0" in text


def test_a_terminal_shows_a_panel_and_no_lines(begun, units):
    progress, out = begun(terminal=True)
    trainings = [unit for unit in units if unit.training]
    with progress:
        run(progress, trainings[0], seconds=10)
        progress.started(trainings[1])
        progress.progressed(trainings[1], {"loss": 0.25, "validation_accuracy": 0.75})
        progress.failed(trainings[2], Failure("diverged", "diverged"))
    panel = out.getvalue()
    assert f"1/{len(trainings)} done, 1 running, 1 failed" in panel
    assert "epoch 1/2" in panel
    assert "loss 0.250  validation_accuracy 0.750" in panel
    assert "left" in panel
    assert "done    train" not in panel
    assert panel.count("diverged") == 1


def test_a_terminal_without_units_says_that_ray_starts():
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=True, width=120, color_system=None)):
        pass
    assert "starting Ray" in out.getvalue()


def test_units_for_which_there_is_no_room_are_counted(small_plan, store):
    rest, out = remainder(small_plan, store), io.StringIO()
    units = list(Schedule(rest, slots=100).units.values())
    progress = Progress(Console(file=out, force_terminal=True, width=120, color_system=None))
    with progress:
        progress.begin(small_plan, rest, units, 100)
        for unit in units:
            progress.started(unit)
    assert len(units) > ROWS
    assert f"and {len(units) - ROWS} more" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_search_counts_trials_and_not_the_units_they_need(small_plan, store, units, terminal):
    out = io.StringIO()
    progress = Progress(Console(file=out, force_terminal=terminal, width=120, color_system=None))
    with progress:
        progress.search(5)
        progress.begin(small_plan, remainder(small_plan, store), units, 1)
        progress.finished(units[0])
        assert progress.seconds_left() is None
        progress.told(SearchTrial(number=0, state="complete", label="madry", seconds=10), "clean 0.5")
        progress.told(SearchTrial(number=1, state="pruned", label="none", seconds=1), "after epoch 2")
        progress.told(SearchTrial(number=2, state="complete", label="madry", same_as=0), "clean 0.5")
        assert progress.seconds_left() == pytest.approx(30, abs=1)
    text = out.getvalue()
    if terminal:
        assert "1/5 done, 1 given up" in text
    else:
        assert len(text.splitlines()) == 3
        assert "1/5  complete trial 0: madry  clean 0.5" in text
        assert "2/5  pruned   trial 1: none  after epoch 2" in text
        assert "trial 2: madry  clean 0.5 (the same as 0)" in text


def test_what_is_given_up_is_neither_done_nor_left(begun, units):
    progress, _ = begun()
    training = next(unit for unit in units if unit.training)
    before = progress.tallies["trainings"].left
    progress.started(training)
    progress.given_up(training)
    tally = progress.tallies["trainings"]
    assert (tally.done, tally.failed, tally.given_up, tally.left) == (0, 0, 1, before - 1)
    assert not progress.running
