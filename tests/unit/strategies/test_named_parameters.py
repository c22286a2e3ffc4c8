"""Parameters as people type them."""

from __future__ import annotations

import pytest

from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.named_parameters import named_parameters

MACD = strategy_named("MACD_CROSSOVER")
NAMES = MACD.parameter_names


def test_what_is_not_named_keeps_its_default_and_whole_numbers_are_int() -> None:
    found = named_parameters(MACD, f" {NAMES[0]} = 9 ,")
    assert found == {**MACD.defaults, NAMES[0]: 9}
    assert isinstance(found[NAMES[0]], int)
    assert named_parameters(MACD, None) == MACD.defaults


def test_given_values_take_the_place_of_the_defaults() -> None:
    given = {**MACD.defaults, NAMES[1]: 30}
    assert named_parameters(MACD, f"{NAMES[0]}=9", given) == {**given, NAMES[0]: 9}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody=3", "has no parameter 'nobody'; it has"),
        (f"{NAMES[0]}=many", f"{NAMES[0]} must be a number, was 'many'"),
        (NAMES[0], f"{NAMES[0]} must be a number, was ''"),
        (f"{NAMES[0]}=1e9", f"{NAMES[0]} must be in"),
        (f"{NAMES[0]}=9.5", f"{NAMES[0]} must be a whole number, was 9.5"),
        (f"{NAMES[0]}=nan", f"{NAMES[0]} must be in"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_value(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_parameters(MACD, text)
