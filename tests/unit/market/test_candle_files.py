from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.files import CandleFileError, read_candles, write_candles

START = 1_546_300_800_000  # 2019-01-01T00:00:00Z
MINUTE = 60_000


def some_candles(rows: int = 5, timeframe: str = "1m") -> Candles:
    close = np.linspace(0.1, 0.7, rows) + 1 / 3
    return Candles(
        "file",
        "BTC/USD",
        timeframe,
        START + np.arange(rows) * MINUTE,
        close,
        close * 1.1,
        close * 0.9,
        close,
        close,
    )


def table(times: list[object], column: str = "open_time_ms") -> pl.DataFrame:
    rows = len(times)
    prices = {"open": [1.0] * rows, "high": [2.0] * rows, "low": [0.5] * rows, "close": [1.5] * rows}
    return pl.DataFrame({column: times, **prices, "volume": [3.0] * rows})


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_written_candles_read_back_bit_for_bit(tmp_path, ending):
    candles = some_candles()
    result = read_candles(write_candles(candles, tmp_path / f"BTC-USD_1m.{ending}"))

    assert (result.exchange, result.symbol, result.timeframe) == ("file", "BTC/USD", "1m")
    for name in ("open_time", *VALUE_COLUMNS):
        assert getattr(result, name).tolist() == getattr(candles, name).tolist()


@pytest.mark.parametrize(
    ("column", "times"),
    [
        ("open_time_ms", [START, START + MINUTE]),
        ("timestamp", [START // 1000, START // 1000 + 60]),
        ("ts", [START, START + MINUTE]),
        ("open_time", [START * 1000, (START + MINUTE) * 1000]),
        ("timestamp", [START * 1_000_000, (START + MINUTE) * 1_000_000]),
        ("date", ["2019-01-01T00:00:00Z", "2019-01-01T00:01:00Z"]),
        ("date", ["2019-01-01 00:00:00", "2019-01-01 00:01:00"]),
        ("Date", ["2019-01-01T01:00:00+01:00", "2019-01-01T01:01:00+01:00"]),
    ],
)
def test_time_column_is_understood_in_every_form(tmp_path, column, times):
    file = tmp_path / "anything.csv"
    table(times, column).write_csv(file)
    candles = read_candles(file, symbol="btc")
    assert candles.open_time.tolist() == [START, START + MINUTE]
    assert candles.symbol == "BTC/USD"


def test_dates_are_utc_days_and_make_daily_candles(tmp_path):
    file = tmp_path / "ETH-USDT.csv"
    table(["2019-01-01", "2019-01-02", "2019-01-03"], "date").write_csv(file)
    candles = read_candles(file)
    assert (candles.symbol, candles.timeframe) == ("ETH/USDT", "1d")
    assert candles.open_time[0] == START


def test_parquet_datetime_with_a_zone_is_read_as_utc(tmp_path):
    file = tmp_path / "BTC-USD_1m.parquet"
    frame = table([START, START + MINUTE], "date").with_columns(
        pl.from_epoch("date", time_unit="ms").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    )
    frame.write_parquet(file)
    assert read_candles(file).open_time.tolist() == [START, START + MINUTE]


def test_timeframe_is_the_most_common_step_where_there_are_gaps(tmp_path):
    file = tmp_path / "BTC-USD.csv"
    table([START + minute * MINUTE for minute in (0, 5, 10, 30, 35, 60)]).write_csv(file)
    assert read_candles(file).timeframe == "5m"


def test_newest_first_file_is_put_in_order(tmp_path):
    file = tmp_path / "BTC-USD_1m.csv"
    table([START + MINUTE, START]).write_csv(file)
    assert read_candles(file).open_time.tolist() == [START, START + MINUTE]


def refusal(path, **options) -> str:
    with pytest.raises(CandleFileError) as caught:
        read_candles(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_missing_file_column_symbol_and_timeframe_are_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.csv")

    (tmp_path / "BTC-USD_1m.txt").write_text("x")
    assert "was '.txt'" in refusal(tmp_path / "BTC-USD_1m.txt")

    table([START]).drop("volume").write_csv(tmp_path / "BTC-USD_1m.csv")
    assert "lacks the columns volume; it has open_time_ms, open" in refusal(tmp_path / "BTC-USD_1m.csv")

    table([START, START + MINUTE]).write_csv(tmp_path / "my_data.csv")
    assert "tells no symbol" in refusal(tmp_path / "my_data.csv")

    table([START]).write_csv(tmp_path / "BTC-USD.csv")
    assert "1 rows do not tell the time frame" in refusal(tmp_path / "BTC-USD.csv")


def test_value_that_is_no_number_or_time_is_named_with_its_row(tmp_path):
    file = tmp_path / "BTC-USD_1m.csv"
    file.write_text("date,open,high,low,close,volume\n2019-01-01T00:00:00Z,1,2,oops,1,1\n")
    assert "column low must hold a number in every row, was 'oops' in row 0" in refusal(file)

    file.write_text("date,open,high,low,close,volume\n2019-01-01,1,2,1,1,1\nsoon,1,2,1,1,1\n")
    assert "column date must hold an ISO 8601 time" in refusal(file)
    assert "was 'soon' in row 1" in refusal(file)


def test_row_that_breaks_a_rule_is_named_with_its_time(tmp_path):
    file = tmp_path / "BTC-USD_1m.csv"
    table([START, START]).write_csv(file)
    assert "1 of 2 rows break a rule" in refusal(file)
    assert f"open time {START} ms: open_time {START} came before" in refusal(file)


def test_file_that_is_no_parquet_is_named(tmp_path):
    file = tmp_path / "BTC-USD_1m.parquet"
    file.write_bytes(b"not parquet at all")
    assert "cannot be read" in refusal(file)


def test_empty_file_with_columns_has_no_candles(tmp_path):
    file = tmp_path / "BTC-USD_1m.csv"
    table([]).write_csv(file)
    assert len(read_candles(file)) == 0
