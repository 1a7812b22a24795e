import pytest
from tiny_study import BIG, SMALL, STUDY

from orchestrator.report.notes import missing, notes, sample
from orchestrator.summary import summarise
from search_spaces.study import Study
from trainables.runtime.failures import Failure


def test_missing_evaluations_are_counted_and_the_command_given(summary_of):
    summary = summary_of({(BIG, "clean", 1): None, (BIG, "pgd", 0): None}, overrides={"epochs": 3})
    assert missing(summary) == ("2 of 16 evaluations missing: run `robust-sweep run tiny_study --set epochs=3`.")


def test_evaluations_that_failed_say_why(fill):
    plan, store = fill({(BIG, "clean", 1): None, (BIG, "pgd", 0): None})
    for cell in [(BIG, "pgd", 0), (SMALL, "pgd", 0)]:  # the second has been evaluated since
        store.save_failure(plan.layout[cell], Failure("out of memory", f"no memory for {cell[0]}\nat line 3"))
    assert missing(summarise(plan, store)) == (
        f"2 of 16 evaluations missing (1 failed: no memory for {BIG}): run `robust-sweep run tiny_study`."
    )


def test_a_whole_table_has_nothing_missing(summary_of):
    assert missing(summary_of()) == ""


def test_sample_names_seeds_and_examples(summary_of):
    assert sample(summary_of(seeds=[0, 7])) == "2 seeds: 0, 7; n = 4 test examples each"


def test_sample_of_uneven_size_gives_its_range(summary_of):
    outcomes = {(BIG, column, 3): None for column in ("fgsm", "pgd", "from_small")}
    summary = summary_of({**outcomes, (BIG, "clean", 3): {0.0: "11"}}, seeds=[3])
    assert sample(summary) == "1 seed: 3; n = 2 to 4 test examples each"


def test_one_seed_is_owned_up_to(summary_of):
    assert "one seed, so no standard error" in notes(summary_of(seeds=[0]))[0]


def test_worst_case_lists_its_attacks(summary_of):
    (note,) = [note for note in notes(summary_of()) if note.startswith("Worst case")]
    assert "(fgsm, pgd, from_small)" in note


def test_an_eps_that_not_all_attacks_have_is_pointed_out(summary_of):
    summary = summary_of(overrides={"attack.fgsm.eps": [0.2]})
    assert "The worst case leaves out eps 0.1, which not every attack has." in notes(summary)


def test_transfer_says_where_the_source_is_attacked_from(summary_of):
    (note,) = [note for note in notes(summary_of()) if note.startswith("from_small")]
    assert note.endswith("a variant that is its own source is attacked from another of its own seeds.")


def test_transfer_of_one_seed_says_that_the_source_goes_without(summary_of):
    assert any("no row's worst case includes this attack" in note for note in notes(summary_of(seeds=[0])))


def test_transfer_whose_source_is_no_variant_has_no_column(summary_of):
    transfer = STUDY.transfers["from_small"].model_copy(update={"source": {"network.width": 99}})
    summary = summary_of(study=STUDY.model_copy(update={"transfers": {"from_wide": transfer}}))
    assert "from_wide" not in summary.attack_names
    assert any(note.startswith("from_wide has no column") for note in notes(summary))


def test_partial_cells_are_explained(summary_of):
    summary = summary_of({(BIG, "pgd", 0): None})
    assert any(note.startswith("[k/2] marks a mean over k of 2 seeds") for note in notes(summary))


def test_a_worst_case_without_strong_attacks_is_called_an_upper_bound(summary_of):
    expected = "The worst case is an upper bound: the attacks include no AutoAttack and no gradient-free attack."
    assert expected in notes(summary_of())


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        pytest.param(("fgsm", "pgd"), "no AutoAttack and no gradient-free attack", id="gradients alone"),
        pytest.param(("pgd", "spsa"), "no AutoAttack", id="one without gradients"),
        pytest.param(("pgd", "autoattack"), "no gradient-free attack", id="AutoAttack"),
    ],
)
def test_a_suite_counts_as_its_attacks(summary_of, names, lacking):
    suite = {"name": "suite", "eps": (0.1,), "attacks": [{"name": name} for name in names]}
    study = Study.model_validate(STUDY.model_dump() | {"attacks": {"all": suite}, "transfers": {}})
    assert f"The worst case is an upper bound: the attacks include {lacking}." in notes(summary_of(study=study))


def test_a_sign_of_masking_is_explained_and_what_was_not_judged_says_what_to_run(summary_of):
    """FGSM breaks all of the wide network, PGD nothing."""
    broken = {(BIG, "fgsm", seed): dict.fromkeys((0.1, 0.2), "0" * 20) for seed in (0, 1)}
    summary = summary_of(broken, otherwise="1" * 20)
    found = notes(summary)
    assert any(
        note.startswith(f'[!] {BIG} fails "iterative ≥ one-step": fgsm at eps 0.1 (0.0 %) breaks') for note in found
    )
    assert 'Not judged for any row: "zero when unbounded". To judge it, add pgd at eps 0.5.' in found
    assert not any(note.startswith(f"[!] {SMALL}") for note in found)
