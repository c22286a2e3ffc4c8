"""Champions and stored strategies as tables, and the files that they go to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest
from report_material import searched

from alpharay.reports.tables import champions_frame, strategies_frame, write_frame


def test_champions_are_rows_with_their_figures_in_and_out_of_sample() -> None:
    report = searched()
    frame = champions_frame([report])
    assert len(frame) == len(report.champions)
    first, champion = frame.row(0, named=True), report.champions[0]
    assert msgspec.json.decode(first["parameters"]) == champion.parameters
    assert (first["symbol"], first["strategy_name"]) == ("AAA/USD", "DOUBLE_EMA_CROSSOVER")
    assert first["score"] == champion.score
    assert first["in_sample_sharpe"] == champion.in_sample.sharpe
    assert champion.out_of_sample is not None
    assert first["out_of_sample_total_return"] == champion.out_of_sample.total_return
    assert champions_frame([]).columns == frame.columns


def test_stored_strategies_have_a_column_a_field_and_null_for_what_was_not_measured() -> None:
    stored = {
        **dict.fromkeys(("strategy_id", "exchange", "symbol", "timeframe", "strategy_name"), "x"),
        **dict.fromkeys(("status", "objective"), "x"),
        "strategy": {"name": "x"}, "parameters": {"fast": 5}, "score": 1.5, "in_sample": {"sharpe": 2.0},
        "out_of_sample": {}, "start_time": 0, "train_end_time": 1, "end_time": 2,
    }  # fmt: skip
    row = strategies_frame([stored]).row(0, named=True)
    assert (row["parameters"], row["in_sample_sharpe"]) == ('{"fast":5}', 2.0)
    assert row["out_of_sample_sharpe"] is None
    assert row["in_sample_trades"] is None


@pytest.mark.parametrize(
    ("ending", "read"), [(".parquet", pl.read_parquet), (".arrow", pl.read_ipc), (".csv", pl.read_csv)]
)
def test_a_table_comes_back_from_its_file(tmp_path: Path, ending: str, read: object) -> None:
    frame = champions_frame([searched()])
    file = write_frame(frame, tmp_path / "new folder" / f"champions{ending}")
    assert callable(read)
    assert read(file).equals(frame) or ending == ".csv"
    assert read(file).columns == frame.columns


def test_another_ending_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.parquet, \.arrow, \.csv, was '\.xlsx'"):
        write_frame(champions_frame([]), tmp_path / "folder" / "champions.xlsx")
    assert list(tmp_path.iterdir()) == []
