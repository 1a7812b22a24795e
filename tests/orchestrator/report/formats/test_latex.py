import re

from tiny_study import BIG, SMALL

from orchestrator.report.formats.latex import escaped_latex, render_latex


def latex(summary):
    return render_latex(summary, {})


def test_every_special_character_is_escaped():
    assert escaped_latex(r"a_b & 5% {x} #1 $y$ ~ ^ \z <t> ± ≥ − –") == (
        r"a\_b \& 5\% \{x\} \#1 \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{}z "
        r"\textless{}t\textgreater{} $\pm$ $\geq$ $-$ --"
    )


def test_tables_are_booktabs_with_the_best_in_bold(summary_of):
    text = latex(summary_of({(SMALL, "fgsm", 0): {0.1: "1100"}, (SMALL, "fgsm", 1): {0.1: "1110"}}))
    assert r" & \multicolumn{1}{c}{} & \multicolumn{2}{c}{fgsm at eps} \\" in text
    assert rf"{SMALL} (baseline) & \textbf{{100.0 $\pm$ 0.0}} & 62.5 $\pm$ 12.5 & " in text
    assert rf"{BIG} & +0.0 $\pm$ 0.0 & +37.5 $\pm$ 12.5 & +0.0 $\pm$ 0.0 \\" in text


def test_caption_says_study_sample_and_what_is_missing(summary_of):
    text = latex(summary_of({(BIG, "pgd", 0): None}))
    assert r"2 seeds: 0, 1; n = 4 test examples each" in text
    assert r"1 of 16 evaluations missing: run \texttt{robust-sweep run tiny\_study}." in text
    assert r"Study: \texttt{tiny\_study}." in text


def test_structure_is_balanced(summary_of):
    lines = [line for line in latex(summary_of()).splitlines() if not line.startswith("%")]
    text = re.sub(r"\\[{}]", "", re.sub(r"(?<!\\)%$", "", "\n".join(lines), flags=re.MULTILINE))
    assert text.count("{") == text.count("}")
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 6
    assert not re.search(r"(?<!\\)[%#_]", re.sub(r"\\label\{.*\}", "", text))


def test_every_row_has_as_many_cells_as_the_table_has_columns(summary_of):
    for tabular in re.findall(r"\\begin\{tabular\}\{(lr*)\}(.*?)\\end\{tabular\}", latex(summary_of()), re.S):
        specification, body = tabular
        rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert len(rows) == (
            4 if "cmidrule" in body else 3
        )  # names, two rows, one difference; verdicts and areas have none
        assert {row.count(" & ") + 1 for row in rows} == {len(specification)}
