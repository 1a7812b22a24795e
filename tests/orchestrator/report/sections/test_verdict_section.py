from tiny_study import BIG, SMALL

from orchestrator.report.sections.accuracy import accuracy_sections
from orchestrator.report.sections.verdict import verdict_sections
from orchestrator.summary.verdict import NOT_JUDGED, RED_FLAG

BROKEN_BY_FGSM = {(BIG, "fgsm", seed): dict.fromkeys((0.1, 0.2), "0" * 20) for seed in (0, 1)}


def test_rows_and_checks_are_a_table(summary_of):
    (section,) = verdict_sections(summary_of(BROKEN_BY_FGSM, otherwise="1" * 20))
    assert [h.name for h in section.table.headings] == [
        "verdict",
        "iterative ≥ one-step",
        "white box ≥ black box",
        "accuracy falls with eps",
        "zero when unbounded",
        "more effort changes little",
        "adaptive = default",
        "gradients do not vanish",
    ]
    rows = {label: [entry.text for entry in entries] for label, entries in section.table.rows}
    assert rows[f"{SMALL} (baseline)"] == [NOT_JUDGED, "pass", "pass", "pass", "?", "?", "pass", "?"]
    assert rows[BIG] == [RED_FLAG, "FAIL", "pass", "pass", "?", "?", "pass", "?"]


def test_a_red_flag_stands_beside_the_row(summary_of):
    labels = [label for label, _ in accuracy_sections(summary_of(BROKEN_BY_FGSM, otherwise="1" * 20))[0].table.rows]
    assert labels == [f"{SMALL} (baseline)", f"{BIG} [!]"]


def test_a_study_without_an_attack_has_no_verdict(summary_of):
    from tiny_study import STUDY

    summary = summary_of(study=STUDY.model_copy(update={"attacks": {}, "transfers": {}}))
    assert verdict_sections(summary) == ()
