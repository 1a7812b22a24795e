from tiny_study import BIG, MEASURED, SMALL, STUDY

from orchestrator.report.formats.markdown import render_markdown


def markdown(summary, figures=()):
    return render_markdown(summary, dict.fromkeys(figures, b"png"))


def test_tables_are_pipes_with_the_best_in_bold(summary_of):
    text = markdown(summary_of({(SMALL, "fgsm", 0): {0.1: "1100"}, (SMALL, "fgsm", 1): {0.1: "1110"}}))
    assert "| variant | clean | fgsm @ 0.1 | fgsm @ 0.2 |\n| :-- | --: | --: | --: |\n" in text
    assert f"| {SMALL} (baseline) | **100.0 ± 0.0** | 62.5 ± 12.5 | **100.0 ± 0.0** |" in text
    assert f"| {BIG} | +0.0 ± 0.0 | +37.5 ± 12.5 | +0.0 ± 0.0 |" in text


def test_text_is_escaped_and_code_is_not(summary_of):
    text = markdown(summary_of({(BIG, "pgd", 0): None}))
    assert text.startswith(r"# Width & \<script\>alert(1)\</script\> of 100% b\_c")
    assert r"Answers A\_Paper." in text
    assert "1 of 16 evaluations missing: run `robust-sweep run tiny_study`." in text


def test_figures_are_linked_by_name(summary_of):
    assert "![accuracy against eps](accuracy_against_eps.png)" in markdown(
        summary_of(), figures=("accuracy_against_eps.png",)
    )


def test_areas_and_measures_have_sections(summary_of):
    study = MEASURED.model_copy(update={"attacks": STUDY.attacks})
    text = markdown(summary_of(study=study, values={(BIG, "slopes", s): {"linf_norm": [0.5]} for s in (0, 1)}))
    assert "## Area under accuracy against eps\n" in text
    assert "| variant | fgsm | pgd | worst case |" in text
    assert "## Measure slopes: name=gradients" in text
    assert f"| variant | median linf norm |\n| :-- | --: |\n| {SMALL} (baseline) | – |\n| {BIG} | 0.5 ± 0 |" in text
