"""Whatever JSON arrives as a strategy, it is one or it is refused with ValueError: workers live on."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waves import wave_candles

from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.evaluation import signals
from alpharay.strategies.strategy import Strategy, with_minimum_holding

_KEYS = st.sampled_from(
    [
        "level",
        "column",
        "indicator",
        "inputs",
        "parameters",
        "previous",
        "bars",
        "left",
        "right",
        "operator",
        "compare",
        "crosses",
        "not",
        "and",
        "or",
        "time",
        "parameter",
    ]
)
_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-5, 5),
        st.sampled_from(["close", "rsi", ">"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=8,
)
_WHOLE = [strategy_to_json(CATALOGUE[name]) for name in ("TRIPLE_EMA_CROSSOVER", "PRICE_GAP", "OBV_EMA")]
_WHOLE.append(strategy_to_json(with_minimum_holding(CATALOGUE["SMA_RSI"], 0, 9, 1)))


def _places(json: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = json.items() if isinstance(json, dict) else enumerate(json) if isinstance(json, list) else ()
    for key, value in items:
        found += _places(value, (*path, key))
    return found


@given(st.data(), _JSON)
def test_one_part_replaced_by_anything_is_a_strategy_or_a_value_error(data, part):
    json = copy.deepcopy(data.draw(st.sampled_from(_WHOLE)))
    path = data.draw(st.sampled_from(_places(json)))
    place = json
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = part
    try:
        strategy = strategy_from_json(json)
        signals(strategy, strategy.defaults, wave_candles(50))
    except ValueError:
        return
    assert isinstance(strategy, Strategy)
    assert strategy_from_json(msgspec.json.decode(msgspec.json.encode(strategy_to_json(strategy)))) == strategy


@pytest.mark.parametrize("json", [None, [], "text", 5, {}])
def test_what_is_no_object_at_all_is_refused(json):
    with pytest.raises(ValueError, match="strategy JSON lacks or misplaces"):
        strategy_from_json(json)


def test_rules_nested_without_end_are_refused():
    json = strategy_to_json(CATALOGUE["OBV_EMA"])
    for _ in range(100_000):
        json["enter"] = {"not": json["enter"]}
    with pytest.raises(ValueError, match="nested too deeply"):
        strategy_from_json(json)


@pytest.mark.parametrize("bars", [9.2e18, 10_000_001])
def test_series_of_more_bars_ago_than_any_market_has_is_refused_with_the_number(bars):
    json = strategy_to_json(CATALOGUE["PRICE_GAP"])
    place = next(path for path in _places(json) if path[-1] == "bars")
    part = json
    for key in place[:-1]:
        part = part[key]
    part["bars"] = bars
    with pytest.raises(ValueError, match=f"bars must be at most 10,000,000, was {int(bars)}"):
        strategy_from_json(json)
