"""A report format: the name of the row with the best clean score."""

from orchestrator.report.formats.contract import Format


def _best_row(summary, figures):
    (clean,) = summary.named("clean")
    return f"{summary.metric}: {', '.join(sorted(summary.best(clean)))}\n"


BEST_ROW = Format("best_row.txt", _best_row, has_figures=False)
