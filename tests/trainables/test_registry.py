import sys

import pytest

from trainables.errors import InputError
from trainables.registry import Registry
from trainables.values import Frozen


class Paint(Frozen):
    name: str
    depth: int = 1


@pytest.fixture
def colours() -> Registry[str]:
    registry: Registry[str] = Registry("colour", "colours", config_of=lambda colour: Paint)
    registry.add_all(red="#f00", green="#0f0")
    return registry


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package that registers these colours: name -> value of the entry point."""

    def install(points, source="PINK = '#fcc'\n", package="paints"):
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (folder / "entry_points.txt").write_text("[robust_sweep.colours]\n" + "\n".join(lines) + "\n")
        (tmp_path / f"{package}_code.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"{package}_code", raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_it_is_a_mapping_of_what_was_added(colours):
    assert dict(colours) == {"red": "#f00", "green": "#0f0"}
    assert len(colours) == 2
    assert "red" in colours
    assert 3 not in colours


def test_add_returns_the_thing(colours):
    assert colours.add("blue", "#00f") == colours["blue"] == "#00f"


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(colours):
    with pytest.raises(InputError, match=r"unknown colour 'gren'\. Did you mean 'green'\? Known: green, red\."):
        colours["gren"]


@pytest.mark.parametrize("name", ["red", "Red", "my red", "file.py:RED", "", "2red"])
def test_a_name_is_free_and_can_stand_in_a_dotted_key(colours, name):
    with pytest.raises(ValueError, match=r"is registered already|lower-case letters"):
        colours.add(name, "#f00")


def test_settings_are_built_by_the_named_things_own_class(colours):
    assert colours.build({"name": "red", "depth": 2}) == Paint(name="red", depth=2)
    assert colours.build(None) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"name": "rad"}, "unknown colour 'rad'. Did you mean 'red'", id="name"),
        pytest.param({}, "unknown colour None. Known: green, red", id="no name"),
        pytest.param({"name": "red", "dept": 1}, "unknown key 'dept'. Did you mean 'depth'", id="key"),
        pytest.param({"name": "red", "depth": "much"}, "depth: input should be a valid integer.*'much'", id="value"),
    ],
)
def test_wrong_settings_are_an_input_error(colours, value, message):
    with pytest.raises(InputError, match=message):
        colours.build(value)


def test_an_installed_packages_name_is_found_and_listed(colours, installed):
    installed({"pink": "paints_code:PINK"})
    assert colours["pink"] == "#fcc"
    assert set(colours) == {"red", "green", "pink"}
    with pytest.raises(InputError, match="Known: green, pink, red"):
        colours["blue"]


def test_an_installed_package_is_imported_only_when_it_is_asked_for(colours, installed):
    installed({"pink": "paints_code:PINK"}, source="raise RuntimeError('imported')")
    assert colours["red"] == "#f00"
    assert "pink" in colours
    with pytest.raises(
        InputError, match=r"colour 'pink' of the installed package 'paints' cannot be imported.*imported"
    ):
        colours["pink"]


def test_a_name_of_ours_hides_an_installed_packages(colours, installed):
    installed({"red": "paints_code:PINK"})
    assert colours["red"] == "#f00"
    assert list(colours) == ["red", "green"]


def test_a_name_that_two_packages_bring_is_neithers(colours, installed):
    installed({"pink": "paints_code:PINK"})
    installed({"pink": "dyes_code:PINK"}, package="dyes")
    with pytest.raises(
        InputError, match="colour 'pink' must be of one package, got 'dyes' and 'paints'; uninstall one"
    ):
        colours["pink"]


def test_an_installed_name_that_cannot_be_is_unknown(colours, installed):
    installed({"My/Pink": "paints_code:PINK"})
    with pytest.raises(InputError, match="unknown colour 'My/Pink'"):
        colours["My/Pink"]


def test_what_is_imported_is_known_without_importing_more(colours, installed):
    installed({"pink": "paints_code:PINK", "rose": "paints_code:PINK"})
    assert colours.imported() == {"red": "#f00", "green": "#0f0"}
    assert colours["pink"]
    assert colours.imported() == {"red": "#f00", "green": "#0f0", "pink": "#fcc"}


def test_get_knows_a_default(colours):
    assert colours.get("red") == "#f00"
    assert colours.get("blue") is None
    assert colours.get("blue", 3) == 3


def test_a_thing_has_what_its_kind_needs(installed):
    needy: Registry[object] = Registry("colour", "colours", needs=("imag", "real", "hue"))
    with pytest.raises(ValueError, match="the colour 'red' must have imag, real, hue, got a complex without hue"):
        needy.add("red", 1j)
    installed({"pink": "paints_code:PINK"})
    message = "'pink' of the installed package 'paints' must have imag, real, hue, got a str without imag, real, hue"
    with pytest.raises(InputError, match=message):
        needy["pink"]
