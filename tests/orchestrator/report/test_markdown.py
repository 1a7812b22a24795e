from tiny_study import BIG, SMALL

from orchestrator.report.markdown import markdown


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
