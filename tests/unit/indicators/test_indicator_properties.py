"""What holds for every registered indicator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies
from indicator_cases import (
    BATCH_NAMES,
    NAMES,
    RECURSIVE_NAMES,
    WINDOW_NAMES,
    assert_same_bits,
    candles,
    compute,
    flat_candles,
    parameters,
    random_candles,
    real_candles,
    rows,
)

from alpharay.indicators import INDICATORS
from alpharay.indicators.registry import PAIRS

few = settings(max_examples=8, deadline=None)


@pytest.mark.parametrize("name", NAMES)
@given(data=strategies.data())
@few
def test_values_on_the_first_bars_do_not_know_the_later_ones(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    bars = len(columns["close"])
    whole = compute(known, columns, values)
    for stop in data.draw(strategies.lists(strategies.integers(0, bars), min_size=1, max_size=4)):
        assert_same_bits(compute(known, rows(columns, 0, stop), values), whole[:stop])


@pytest.mark.parametrize("name", WINDOW_NAMES)
@given(data=strategies.data())
@few
def test_window_indicator_from_any_earlier_start_has_the_same_bits(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    whole = compute(known, columns, values)
    warm_up = known.warm_up(*values)
    for start in data.draw(strategies.lists(strategies.integers(0, len(whole)), min_size=1, max_size=4)):
        late = compute(known, rows(columns, start), values)
        assert_same_bits(late[warm_up:], whole[start + warm_up :])


@pytest.mark.parametrize("name", NAMES)
@given(data=strategies.data())
@few
def test_first_value_comes_right_after_the_declared_warm_up(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    out = compute(known, columns, values)
    warm_up = known.warm_up(*values)
    assert out.shape == columns["close"].shape
    assert np.all(np.isnan(out[:warm_up]))
    assert np.all(np.isfinite(out[warm_up:]))


@pytest.mark.parametrize("name", BATCH_NAMES)
@given(data=strategies.data())
@few
def test_batch_has_the_bits_of_one_call_a_parameter_set(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    spoilt = data.draw(strategies.lists(strategies.integers(0, 2100), max_size=2))
    for name_of_input in known.inputs:
        columns[name_of_input][[bar for bar in spoilt if bar < len(columns["close"])]] = np.nan
    sets = data.draw(strategies.lists(parameters(known, longest=200), min_size=1, max_size=20))
    assert known.batch is not None
    matrix = known.batch(*(columns[column] for column in known.inputs), np.array(sets, dtype=np.float64))
    assert matrix.shape == (len(sets), len(columns["close"]))
    for row, values in zip(matrix, sets, strict=True):
        assert_same_bits(row, compute(known, columns, values))


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_a_pair_has_the_bits_of_both_batches(name: str) -> None:
    pair = PAIRS[name]
    columns = random_candles(3, 700)
    inputs = [columns[column] for column in INDICATORS[name].inputs]
    # Out of order, shorter than any start, and longer than the series.
    sets = np.array([[40.0], [3.0], [800.0], [11.0]])
    outs = [np.empty((4, 700)) for _ in pair.names]
    pair.batch(*inputs, sets, *outs)
    for own, out in zip(pair.names, outs, strict=True):
        batch = INDICATORS[own].batch
        assert batch is not None
        assert_same_bits(out, batch(*inputs, sets))


@pytest.mark.parametrize("name", BATCH_NAMES)
def test_batch_of_no_sets_has_no_rows(name: str) -> None:
    known = INDICATORS[name]
    columns = random_candles(1, 30)
    assert known.batch is not None
    inputs = (columns[column] for column in known.inputs)
    assert known.batch(*inputs, np.empty((0, len(known.parameters)))).shape == (0, 30)


@pytest.mark.parametrize("name", NAMES)
@given(data=strategies.data())
@few
def test_bars_missing_at_the_start_only_delay_the_values(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    missing = data.draw(strategies.integers(1, 30))
    late = {key: np.concatenate((np.full(missing, np.nan), column)) for key, column in columns.items()}
    out = compute(known, late, values)
    assert np.all(np.isnan(out[:missing]))
    assert_same_bits(out[missing:], compute(known, columns, values))


@pytest.mark.parametrize("name", RECURSIVE_NAMES)
@given(data=strategies.data())
@few
def test_recursive_indicator_starts_afresh_after_a_missing_bar(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    assume(len(columns["close"]) > 0)
    missing = data.draw(strategies.integers(0, len(columns["close"]) - 1))
    before = compute(known, columns, values)
    spoilt = {key: np.where(np.arange(len(column)) == missing, np.nan, column) for key, column in columns.items()}
    out = compute(known, spoilt, values)
    assert_same_bits(out[:missing], before[:missing])
    assert np.isnan(out[missing])
    assert_same_bits(out[missing + 1 :], compute(known, rows(columns, missing + 1), values))


@pytest.mark.parametrize("name", WINDOW_NAMES)
@given(data=strategies.data())
@few
def test_missing_value_spoils_no_window_without_it(name: str, data: strategies.DataObject) -> None:
    known = INDICATORS[name]
    columns = data.draw(candles())
    values = data.draw(parameters(known))
    warm_up = known.warm_up(*values)
    assume(len(columns["close"]) > 2 * warm_up + 1)
    missing = data.draw(strategies.integers(warm_up, len(columns["close"]) - warm_up - 1))
    column = data.draw(strategies.sampled_from(known.inputs))
    before = compute(known, columns, values)
    columns[column][missing] = np.nan
    after = compute(known, columns, values)
    assert_same_bits(after[:missing], before[:missing])
    assert_same_bits(after[missing + warm_up + 1 :], before[missing + warm_up + 1 :])
    reach = slice(missing, missing + warm_up + 1)
    assert np.any(np.isnan(after[reach]))
    kept = ~np.isnan(after[reach])
    assert_same_bits(after[reach][kept], before[reach][kept])


@pytest.mark.parametrize(
    "name",
    [
        "sma",
        "wma",
        "highest",
        "lowest",
        "standard_deviation",
        "bollinger_upper",
        "linear_regression",
        "vwma",
        "cci",
    ],
)
@pytest.mark.parametrize("length", [1, 2, 3, 13, 32, 57])
def test_missing_value_spoils_every_window_with_it(name: str, length: int) -> None:
    known = INDICATORS[name]
    columns = random_candles(3, 1300)
    values = (length, 2.0)[: len(known.parameters)]
    for missing in (100, 1023, 1024):
        columns[known.inputs[0]][missing] = np.nan
        out = compute(known, columns, values)
        assert np.all(np.isnan(out[missing : missing + length]))
        assert np.isfinite(out[missing + length])


@pytest.mark.parametrize("bars", [0, 1, 2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_fewer_bars_than_the_warm_up_give_only_nan(name: str, bars: int) -> None:
    known = INDICATORS[name]
    values = tuple(7 if key in known.integer_parameters else 0.1 for key in known.parameters)
    out = compute(known, random_candles(1, bars), values)
    assert out.shape == (bars,)
    assert np.all(np.isnan(out[: known.warm_up(*values)]))
    assert np.all(np.isfinite(out[known.warm_up(*values) :]))


@pytest.mark.parametrize("name", [name for name in NAMES if INDICATORS[name].integer_parameters])
def test_length_far_beyond_the_bars_gives_only_nan(name: str) -> None:
    known = INDICATORS[name]
    values = tuple(100_000 if key in known.integer_parameters else 0.1 for key in known.parameters)
    assert np.all(np.isnan(compute(known, random_candles(1, 50), values)))


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_left_as_they_were_and_may_be_read_only(name: str) -> None:
    known = INDICATORS[name]
    columns = random_candles(2, 300)
    for column in columns.values():
        column.flags.writeable = False
    values = tuple(3 if key in known.integer_parameters else 0.1 for key in known.parameters)
    out = compute(known, columns, values)
    assert out.flags.writeable
    assert not any(np.shares_memory(out, column) for column in columns.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("volume", [0.0, 5.0])
def test_flat_market_has_a_value_on_every_bar_after_the_warm_up(name: str, volume: float) -> None:
    known = INDICATORS[name]
    values = tuple(9 if key in known.integer_parameters else 0.1 for key in known.parameters)
    out = compute(known, flat_candles(200, 100.1, volume), values)
    assert np.all(np.isfinite(out[known.warm_up(*values) :]))


@pytest.mark.parametrize("name", NAMES)
def test_market_without_volume_has_a_value_on_every_bar_after_the_warm_up(name: str) -> None:
    known = INDICATORS[name]
    columns = random_candles(4, 300)
    columns["volume"][:] = 0.0
    values = tuple(9 if key in known.integer_parameters else 0.1 for key in known.parameters)
    assert np.all(np.isfinite(compute(known, columns, values)[known.warm_up(*values) :]))


@pytest.mark.parametrize("name", NAMES)
def test_real_candles_from_a_later_start_and_to_an_earlier_end(name: str) -> None:
    known = INDICATORS[name]
    columns = real_candles(6000, skip=100_000)
    values = tuple(21 if key in known.integer_parameters else 0.05 for key in known.parameters)
    warm_up = known.warm_up(*values)
    whole = compute(known, columns, values)
    assert np.all(np.isfinite(whole[warm_up:]))
    assert_same_bits(compute(known, rows(columns, 0, 4321), values), whole[:4321])
    if known.memory == "window":
        assert_same_bits(compute(known, rows(columns, 777), values)[warm_up:], whole[777 + warm_up :])
