"""Candles, time frames and symbols."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.market.candles import Candles, candles_from_frame
from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import last_closed_open_time, open_time_at, timeframe_ms

MINUTE = 60_000


def minutes(count: int) -> Candles:
    ones = np.ones(count)
    return Candles("test", "BTC/USD", "1m", np.arange(count) * MINUTE, ones, ones, ones, ones, ones)


def test_slices_are_views_on_the_same_memory():
    candles = minutes(10)
    assert np.shares_memory(candles.slice(2, 5).close, candles.close)
    assert candles.slice(2, 5).open_time.tolist() == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE]


def test_tail_of_more_than_there_is_is_all():
    assert len(minutes(3).tail(10)) == 3
    assert len(minutes(0).tail(10)) == 0


def test_between_includes_the_start_and_excludes_the_end():
    assert minutes(10).between(2 * MINUTE, 4 * MINUTE).open_time.tolist() == [2 * MINUTE, 3 * MINUTE]


def test_open_times_that_do_not_increase_are_refused():
    ones = np.ones(2)
    with pytest.raises(ValueError, match="strictly increasing"):
        Candles("test", "BTC/USD", "1m", np.array([0, 0]), ones, ones, ones, ones, ones)


def test_columns_of_different_length_are_named():
    ones = np.ones(2)
    with pytest.raises(ValueError, match="column close has 1 rows, open_time has 2"):
        Candles("test", "BTC/USD", "1m", np.array([0, MINUTE]), ones, ones, ones, np.ones(1), ones)


def test_frame_round_trip_keeps_all_values():
    candles = minutes(4)
    again = candles_from_frame(candles.to_frame(), "test", "BTC/USD", "1m")
    assert again.to_frame().equals(candles.to_frame())


def test_repr_is_short():
    assert repr(minutes(1000)) == "Candles(test BTC/USD 1m, 1000 rows, open times 0 to 59940000)"
    assert repr(minutes(0)) == "Candles(test BTC/USD 1m, 0 rows)"


@pytest.mark.parametrize("text", ["", "1", "m", "0m", "1s", "1w", "1M", "-1m", "1.5h", "1 m"])
def test_text_that_is_no_timeframe_is_refused(text):
    with pytest.raises(ValueError, match="timeframe must be"):
        timeframe_ms(text)


def test_candle_is_closed_only_when_its_whole_length_has_passed():
    assert open_time_at(5 * MINUTE - 1, "5m") == 0
    assert last_closed_open_time(10 * MINUTE - 1, "5m") == 0
    assert last_closed_open_time(10 * MINUTE, "5m") == 5 * MINUTE


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("SOL", "SOL/USD"), (" sol ", "SOL/USD"), ("eth/btc", "ETH/BTC"), ("BTC/USD:USD", "BTC/USD:USD")],
)
def test_bare_symbol_gets_the_default_quote(text, symbol):
    assert resolve_symbol(text) == symbol


@pytest.mark.parametrize("text", ["", "BTC/", "/USD", "BTC USD", "BTC/USD/EUR"])
def test_text_that_is_no_symbol_is_refused(text):
    with pytest.raises(ValueError, match="symbol must look like"):
        resolve_symbol(text)
