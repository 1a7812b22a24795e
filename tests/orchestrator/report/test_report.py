import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import MEASURED, SMALL, STUDY

from orchestrator.planning.plan import expand
from orchestrator.report import formats_of, render, write_files
from orchestrator.storage.store import Store
from orchestrator.summary import summarise
from trainables.errors import InputError

FIGURES = {"accuracy_against_eps.png", "robustness_against_accuracy.png"}


def write_report(plan, store, formats):
    return write_files(plan, store, render(summarise(plan, store), formats_of(formats)))


@pytest.mark.parametrize(
    ("formats", "files"),
    [
        (["markdown"], {"report.md", *FIGURES}),
        (["latex", "csv"], {"report.tex", "report.csv", *FIGURES}),
        (["csv"], {"report.csv"}),
        (["html"], {"report.html", *FIGURES}),
        (["all"], {"report.md", "report.tex", "report.csv", "report.html", *FIGURES}),
    ],
)
def test_each_format_writes_its_file_and_the_figures(fill, formats, files):
    plan, store = fill()
    written = write_report(plan, store, formats)
    assert set(written) == files
    for name, location in written.items():
        assert location == f"{store.root}/reports/tiny_study/{name}"
        assert Path(location).stat().st_size > 0


def test_html_embeds_the_figures(summary_of):
    assert render(summary_of(), formats_of(["html"]))["report.html"].count(b"data:image/png;base64,") == 2


def test_a_study_without_attacks_has_no_figures(summary_of):
    study = STUDY.model_copy(update={"attacks": {}, "transfers": {}})
    assert set(render(summary_of(study=study))) == {"report.md", "report.tex", "report.csv", "report.html"}


def test_a_study_of_measures_alone_is_reported_in_every_format(summary_of):
    values = {(SMALL, "slopes", s): {"linf_norm": [0.5]} for s in (0, 1)}
    files = render(summary_of(study=MEASURED, values=values))
    assert set(files) == {"report.md", "report.tex", "report.csv", "report.html"}
    assert all(b"slopes" in content for content in files.values())


def test_an_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown format 'htlm'\. Did you mean 'html'\?"):
        formats_of(["htlm", "all"])


def test_nothing_is_written_for_a_study_without_records(tmp_path):
    with pytest.raises(InputError, match="run `robust-sweep run tiny_study` first"):
        write_report(expand(STUDY), Store(tmp_path), ["all"])
    assert not (tmp_path / "reports").exists()


def test_report_imports_no_ray_mlflow_or_optuna():
    unwanted = {"ray", "mlflow", "optuna", "matplotlib.pyplot"}
    code = f"import sys, orchestrator.report; print({unwanted} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
