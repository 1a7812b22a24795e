import base64
import re
from html.parser import HTMLParser

from tiny_study import BIG, MEASURED, STUDY

from orchestrator.report.formats.page import render_page

VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Collects what a page refers to and which of its elements are left open."""

    def __init__(self, text):
        super().__init__()
        self.references, self.scripts, self.open = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_nothing_beside_it(summary_of):
    text = render_page(summary_of(), {"plot.png": b"png"})
    outline = Outline(text)
    assert outline.references == [f"data:image/png;base64,{base64.b64encode(b'png').decode()}"]
    assert not re.search(r"https?://|url\(|@import", text)
    assert outline.open == []


def test_text_of_a_study_is_escaped(summary_of):
    text = render_page(summary_of(), {})
    assert Outline(text).scripts == 0
    assert "Width &amp; &lt;script&gt;alert(1)&lt;/script&gt; of 100% b_c" in text


def test_best_is_bold(summary_of):
    text = render_page(summary_of({(BIG, "pgd", 0): {0.1: "1110"}}), {})
    assert "<td><strong>100.0 ± 0.0</strong></td>" in text
    assert "<td>87.5 ± 12.5</td>" in text


def test_page_shows_where_the_numbers_come_from(summary_of):
    summary = summary_of(overrides={"epochs": 3})
    text = render_page(summary, {})
    assert "<code>robust-sweep run tiny_study --set epochs=3</code>" in text
    assert "name=pgd norm=linf" in text
    assert "2.13.0" in text
    for fingerprint in (*summary.plan.trainings, *summary.plan.evaluations):
        assert f"<code>{fingerprint}</code>" in text


def test_what_is_missing_stands_at_the_top(summary_of):
    text = render_page(summary_of({(BIG, "pgd", 0): None}), {})
    assert text.index("1 of 16 evaluations missing: run <code>robust-sweep run tiny_study</code>") < text.index(
        "<main>"
    )


def test_a_whole_table_has_no_warning(summary_of):
    assert "evaluations missing" not in render_page(summary_of(), {})


def test_areas_and_measures_have_headings_of_their_own(summary_of):
    study = MEASURED.model_copy(update={"attacks": STUDY.attacks})
    text = render_page(summary_of(study=study, values={(BIG, "slopes", 0): {"linf_norm": [0.5]}}), {})
    assert Outline(text).open == []
    heads = re.findall(r"<h2>(.*)</h2>", text)
    assert heads[1:4] == ["Each attack", "Signs of gradient masking", "Area under accuracy against eps"]
    assert heads[4].startswith("Measure slopes: name=gradients")
    assert "<td>0.5 [1/2]</td>" in text
