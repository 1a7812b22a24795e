"""A study's page: each part of the study is on it, under its heading."""

import io
import json

import pytest
from rich.console import Console

from orchestrator.commands.describe_view import described_json
from orchestrator.commands.study_page import study_page
from search_spaces import STUDIES
from search_spaces.study import Study


def shown(study):
    console = Console(width=120, file=io.StringIO())
    console.print(study_page(study))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def section(lines, heading):
    start = next(i for i, line in enumerate(lines) if line.startswith(heading))
    return lines[start + 1 : lines.index("", start)]


PCL_T3 = shown(STUDIES["pcl_t3"])


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("study pcl_t3", "Does the prototype loss hold in white box and in transfer"),
        ("study pcl_t3", "paper: pcl, Table 3 (MNIST and Fashion-MNIST)"),
        ("Settings of every row", "optimisation.milestones [200, 250]"),
        ("Rows", "design grid: every point of each grid"),
        ("Baseline", "defense=none network=cnn6"),
        ("Attacks", "pgd_linf pgd linf 0.3 steps=10 relative_step=0.25"),
        ("Transfers", "transfer_cw_l2 cw_l2 defense=none network=vgg19"),
        ("Scales", "dataset digits mnist, fashion_mnist"),
        ("Scales", "epochs 10 350"),
        ("Scales", "examples 100 all of the test split"),
        ("Scales", "seeds 0, 1 0, 1, 2"),
        ("Scales", "attack.*_linf.eps 0.1"),
    ],
)
def test_a_page_has_each_part_of_its_study(heading, expected):
    assert any(line.startswith(expected) for line in section(PCL_T3, heading))


def test_keys_of_one_grid_stand_together():
    grids = [section(PCL_T3, f"Grid {number} of 4") for number in range(1, 5)]
    assert grids == [
        ["defense none"],
        ["defense none", "network vgg19"],
        ["defense pcl", "defense.adversarial null"],
        ["defense pcl", "defense.adversarial.attack fgsm, pgd"],
    ]


def test_a_page_ends_with_the_commands_that_plan_it():
    assert PCL_T3[-2:] == ["robust-sweep plan pcl_t3", "robust-sweep plan pcl_t3 --scale paper"]


def test_measures_and_search_ranges_are_shown():
    assert "certified_02 certification sigma=0.2 samples=50000 eps=[0.5, 0.7, 1.0]" in shown(STUDIES["rbf_cnn_t6"])
    assert "optimisation.lr 0.0005 to 0.01, evenly over the logarithm" in shown(STUDIES["cross_paper"])


def test_a_plain_study_has_the_defaults_and_no_empty_section():
    lines = shown(Study(name="plain", title="Plain", base={}, space=({"defense": ("none",)},)))
    assert section(lines, "Scales")[1:] == [
        "dataset digits digits",
        "epochs 10 10",
        "examples all of the test split all of the test split",
        "seeds 0 0",
    ]
    assert not [line for line in lines if line.startswith(("Settings", "Baseline", "Attacks", "Transfers", "Measures"))]


def test_a_suite_names_its_attacks_and_an_axis_points_to_the_grids():
    attacks = {"suite": {"name": "suite", "eps": [0.1], "attacks": [{"name": "fgsm"}, {"name": "pgd", "steps": 5}]}}
    space = ({"defense": ("none",), "epochs": (1, 2)},)
    lines = shown(Study(name="plain", title="Plain", base={}, space=space, attacks=attacks))
    assert "suite suite linf 0.1 attacks=[fgsm, pgd steps=5]" in lines
    assert "epochs see the grids see the grids" in lines


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_page_and_all_of_it_as_json(name):
    assert shown(STUDIES[name])
    found = json.loads(described_json("study", name))
    again = Study.model_validate({key: found[key] for key in Study.model_fields})
    assert again.model_dump(mode="json") == STUDIES[name].model_dump(mode="json")
