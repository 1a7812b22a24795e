"""The report of a search from its history in the store: the best trials, the importance of keys, and every trial."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.planning.wording import as_text, counted
from orchestrator.report.formats.markdown import escaped_markdown, figure_lines, note_lines, table_lines
from orchestrator.report.formats.page import data_uri, groups, template
from orchestrator.report.formats.terminal import rich_tables
from orchestrator.report.table import MISSING, Entry, Heading, Table
from orchestrator.searching.history import BEST, TOP, History, SearchTrial
from orchestrator.storage.store import Store

TEMPLATE = "search.html.jinja"
ENOUGH = 20  # complete trials; with fewer, importance is only a hint
SHOWN_TRIALS = 20  # in a terminal
FIELDS = ("number", "state", "label", "settings", "models", "error", "same_as", "seconds", "probed")


def write_search_files(history: History, store: Store, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write rendered files below reports/search-<name>/ in the store and return where each is."""
    return {name: store.write_file(f"reports/search-{history.name}/{name}", data) for name, data in files.items()}


def search_files(history: History) -> dict[str, bytes]:
    """Return the report's files by name: Markdown, HTML, CSV and figures."""
    figures = _figures(history)
    texts = {
        "report.md": _markdown(history, tuple(figures)),
        "report.html": _page(history, figures),
        "trials.csv": _csv(history),
    }
    return {name: text.encode() for name, text in texts.items()} | figures


def search_terminal(history: History, *, width: int = 100) -> Group:
    """Return what rich prints in `width` characters, the best trials last, where a reader looks first."""
    parts: list[RenderableType] = []
    for table in (trials_table(history, last=SHOWN_TRIALS), importance_table(history), best_table(history)):
        parts += rich_tables("", table, width, has_groups=False) if table else []
    return Group(Text(title(history)), *parts, *(Text(f"• {note}") for note in search_notes(history)))


def title(history: History) -> str:
    return f"Search {history.name}: {history.study.title}"


def best_table(history: History) -> Table | None:
    """Return the best trials with their values in percent; None if no trial is complete."""
    if not history.best:
        return None
    front = (
        f"Pareto front: {len(history.best)} of {len(history.complete)} trials, none of them beaten in every objective"
    )
    best = f"The best {len(history.best)} of {len(history.complete)} trials"
    caption = f"{best if len(history.objectives) == 1 else front}; in % on validation examples"
    tops = [max(values) for values in zip(*(trial.values for trial in history.best), strict=True)]
    rows = tuple(
        (_label(t), tuple(Entry(f"{100 * v:.1f}", is_best=v == top) for v, top in zip(t.values, tops, strict=True)))
        for t in history.best
    )
    return Table(caption, _objectives(history), rows, "trial")


def importance_table(history: History) -> Table | None:
    """Return each key's share in what makes a trial good, in percent; None if there is nothing to compare."""
    keys = dict.fromkeys(key for shares in history.importance.values() for key in shares)
    if not keys:
        return None
    shares = {key: [history.importance[name].get(key) for name in history.objectives] for key in keys}
    ranked = sorted(keys, key=lambda key: sum(share or 0 for share in shares[key]), reverse=True)
    caption = f"Importance: each key's share in % of what sets the best of {len(history.complete)} trials apart"
    rows = tuple((key, tuple(Entry(MISSING if s is None else f"{100 * s:.0f}") for s in shares[key])) for key in ranked)
    return Table(caption, _objectives(history), rows, "key")


def trials_table(history: History, *, last: int | None = None) -> Table:
    """Return the points that were tried, in order and the best in bold: their values, or why they have none.

    `last` limits the table to that many points.
    """
    rows = tuple(_row(trial, history) for trial in history.trials if trial.same_as is None)
    shown = rows[-last:] if last else rows
    which = f"the last {len(shown)} of {len(rows)} trials, " if len(shown) < len(rows) else ""
    return Table(f"History: {which}in % on validation examples", _objectives(history), shown, "trial")


def search_notes(history: History) -> Iterator[str]:
    """Yield sentences that say how to read the numbers, with `code` in backticks."""
    points = [trial for trial in history.trials if trial.same_as is None]
    counts = Counter(trial.state for trial in points)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    repeats = len(history.trials) - len(points)
    draws = "1 draw of a point" if repeats == 1 else f"{repeats} draws of points"
    again = f", and {draws} already tried" if repeats else ""
    yield f"{counted(len(points), 'trial')} ({states}){again}; sampler {history.sampler}, pruner {history.pruner}."
    seeds = f"seed{'s' if len(history.seeds) > 1 else ''} {', '.join(map(str, history.seeds))}"
    yield f"Values are for {seeds} on validation examples alone; under an attack they are means over its eps."
    if counts["pruned"]:
        yield "A pruned trial shows in brackets the last value that was measured while it was trained."
    if history.importance and len(history.complete) < ENOUGH:
        yield f"With fewer than {ENOUGH} complete trials, importance (PED-ANOVA) is only a hint."
    for error, count in Counter(trial.error for trial in points if trial.error).items():
        yield f"{count} failed: {error}"
    if history.best:
        what = f"the {TOP} best" if len(history.objectives) == 1 else "the Pareto front"
        yield (
            f"`robust-sweep run {BEST}{history.name}` evaluates {what} and the baseline on test examples under every "
            "attack of the study. The best of many on few validation examples look better here than they are."
        )


def _objectives(history: History) -> tuple[Heading, ...]:
    return tuple(Heading("", name) for name in history.objectives)


def _label(trial: SearchTrial) -> str:
    return f"{trial.number}  {trial.label}"


def _row(trial: SearchTrial, history: History) -> tuple[str, tuple[Entry, ...]]:
    label = _label(trial)
    if trial.state == "complete":
        return label, tuple(Entry(f"{100 * value:.1f}", is_best=trial in history.best) for value in trial.values)
    last = f"[{100 * trial.probed[max(trial.probed)]:.1f}] " if trial.probed else ""
    return label, (Entry(f"{last}{trial.state}"), *(Entry("") for _ in history.objectives[1:]))


def _markdown(history: History, figures: Sequence[str]) -> str:
    lines = [f"# {escaped_markdown(title(history))}", ""]
    for table in filter(None, (best_table(history), importance_table(history), trials_table(history))):
        lines += table_lines(table)
    lines += [*figure_lines(figures), *note_lines(search_notes(history))]
    return "\n".join([*lines, f"Continue with `{history.command}`; trials are stored in `{history.storage}`.", ""])


def _page(history: History, figures: dict[str, bytes]) -> str:
    return template(TEMPLATE).render(
        history=history,
        title=title(history),
        groups=groups,
        tables=[table for table in (best_table(history), importance_table(history)) if table],
        trials=trials_table(history),
        notes=list(search_notes(history)),
        figures={name: data_uri(content) for name, content in figures.items()},
    )


def _csv(history: History) -> str:
    """Return one row for each trial, unrounded, with mappings as JSON."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*FIELDS, *history.objectives])
    for trial in history.trials:
        values = trial.values or [""] * len(history.objectives)
        facts = (getattr(trial, name) for name in FIELDS)
        writer.writerow([*("" if fact is None else as_text(fact) for fact in facts), *values])
    return stream.getvalue()


def _figures(history: History) -> dict[str, bytes]:
    if not history.complete:
        return {}
    from orchestrator.report.figures import importance_bars, pareto_front, values_by_trial

    figures = {"history.png": values_by_trial(history)}
    if len(history.objectives) > 1:
        figures["pareto_front.png"] = pareto_front(history)
    if history.importance:
        figures["importance.png"] = importance_bars(history)
    return figures
