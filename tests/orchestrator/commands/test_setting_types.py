from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, PositiveInt

from orchestrator.commands.setting_types import models_in, type_of
from trainables.values import Frozen


class Inner(Frozen):
    x: int = 1


class Types(Frozen):
    whole: int = 1
    above: PositiveInt = 1
    share: float = Field(0.5, ge=0, lt=1)
    least: Annotated[int, Field(ge=2)] = 2
    seed: int = Field(0, ge=0, le=2147483647)
    most: float = Field(0.1, le=3)
    maybe: Annotated[float, Field(gt=0)] | None = None
    switch: bool = False
    choice: Literal["factor", "identity"] = "factor"
    power: Literal[1, 2] = 2
    word: str = ""
    layers: tuple[str, ...] = ()
    sizes: tuple[Annotated[float, Field(gt=0)], ...] = ()
    places: tuple[Literal["conv", "head"], ...] = Field(("conv",), min_length=1)
    widths: Mapping[str, PositiveInt] = {}
    inner: Inner = Inner()
    perhaps: Inner | None = None
    anything: Any = None


EXPECTED = {
    "whole": "integer",
    "above": "integer > 0",
    "share": "0 <= number < 1",
    "least": "integer >= 2",
    "seed": "0 <= integer <= 2147483647",
    "most": "number <= 3",
    "maybe": "number > 0 or null",
    "switch": "true | false",
    "choice": "factor | identity",
    "power": "1 | 2",
    "word": "text",
    "layers": "list of text",
    "sizes": "list of (number > 0)",
    "places": "list of (conv | head)",
    "widths": "mapping from text to integer > 0",
    "inner": "settings",
    "perhaps": "settings or null",
    "anything": "any value",
}


@pytest.mark.parametrize("name", Types.model_fields)
def test_a_type_reads_as_a_user_would_say_it(name):
    field = Types.model_fields[name]
    assert type_of(field.annotation, field.metadata) == EXPECTED[name]


def test_nested_configs_are_found_by_themselves_and_in_unions_alone():
    found = {name: models_in(field.annotation) for name, field in Types.model_fields.items()}
    assert {name for name, models in found.items() if models} == {"inner", "perhaps"}
