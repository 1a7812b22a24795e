from tiny_study import SMALL, STUDY

from orchestrator.planning.plan import command, expand, source_of
from orchestrator.planning.wording import assignments, parse_assignments
from orchestrator.report.settings import attack_settings, common_settings, crafted_on, own_settings, versions
from search_spaces.study import Transfer


def test_command_expands_to_the_same_plan():
    plan = expand(STUDY, scale="paper", overrides={"network.width": [4, 8], "epochs": 2}, seeds=[3, 4])
    assert command(plan) == (
        "robust-sweep run tiny_study --scale paper --set 'network.width=[4, 8]' --set epochs=2 --seeds 3,4"
    )
    again = expand(
        STUDY,
        scale="paper",
        overrides=parse_assignments(["network.width=[4, 8]", "epochs=2"]),
        seeds=[3, 4],
    )
    assert again.layout == plan.layout


def test_settings_are_either_common_or_a_variants_own():
    plan = expand(STUDY, overrides={"epochs": 2})
    assert common_settings(plan)["epochs"] == "2"
    assert "network.width" not in common_settings(plan)
    assert [own_settings(plan, v) for v in plan.variants] == [{"network.width": "4"}, {"network.width": "8"}]


def test_attack_settings_leave_out_the_grid():
    settings = attack_settings(expand(STUDY).attacks["pgd"])
    assert assignments(settings).startswith("name=pgd norm=linf")
    assert "eps" not in settings


def test_source_of_a_transfer_is_the_variant_that_crafts():
    plan = expand(STUDY)
    assert source_of(plan, "from_small") == SMALL
    assert crafted_on(plan, "from_small") == f"variant {SMALL}"
    assert source_of(plan, "pgd") is None
    assert crafted_on(plan, "pgd") is None


def test_sources_that_differ_by_row_are_named_by_what_selects_them():
    grids = ({"network.width": (4, 8), "defense": ("none", "madry")},)
    transfers = {"from_none": Transfer(attack="pgd", source={"defense.name": "none"})}
    plan = expand(STUDY.model_copy(update={"space": grids, "transfers": transfers}))
    assert source_of(plan, "from_none") == "name=none"
    assert crafted_on(plan, "from_none") == "the variant with name=none that is most like each row"


def test_versions_that_differ_are_all_listed():
    records = [{"torch": "2.13", "code": {"dirty": False}}, {"torch": "2.14"}, {}]
    assert versions(records) == {"code.dirty": ["false"], "torch": ["2.13", "2.14"]}


def test_what_a_unit_took_is_no_version():
    assert versions([{"torch": "2.13", "gpu_peak_mib": 7}, {"torch": "2.13", "gpu_peak_mib": 9}]) == {"torch": ["2.13"]}
