"""Results as tables, for parquet, Arrow and CSV: champions, stored strategies, an account bar by bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import polars as pl

from alpharay.backtest.metrics import METRIC_NAMES, metrics_json
from alpharay.backtest.single import Backtest
from alpharay.discovery.leaderboard import leaderboard
from alpharay.discovery.report import DiscoveryReport
from alpharay.market.candles import Candles
from alpharay.reports.account_figures import drawdowns

Figures = Mapping[str, float | None]

TABLE_ENDINGS = (".parquet", ".arrow", ".csv")

_FIGURE_COLUMNS = {f"{part}_{name}": pl.Float64 for part in ("in_sample", "out_of_sample") for name in METRIC_NAMES}


def champions_frame(reports: Sequence[DiscoveryReport]) -> pl.DataFrame:
    """Return the champions of searches, best score in sample first.

    Columns: exchange, symbol, timeframe, strategy_name, parameters (JSON), objective, score, train_end_time (UTC ms),
    and `in_sample_` and `out_of_sample_` with every metric; infinite and missing figures are null.
    """
    rows = [
        {
            "exchange": entry.report.parts.candles.exchange,
            "symbol": entry.report.parts.candles.symbol,
            "timeframe": entry.report.parts.candles.timeframe,
            "strategy_name": entry.report.strategy.name,
            "parameters": _json(entry.champion.parameters),
            "objective": entry.report.settings.objective,
            "score": entry.champion.score,
            "train_end_time": entry.report.parts.train_end_time,
            **_columns("in_sample", metrics_json(entry.champion.in_sample)),
            **_columns(
                "out_of_sample",
                {} if entry.champion.out_of_sample is None else metrics_json(entry.champion.out_of_sample),
            ),
        }
        for entry in leaderboard(reports)
    ]
    schema = {
        **dict.fromkeys(("exchange", "symbol", "timeframe", "strategy_name", "parameters", "objective"), pl.String),
        "score": pl.Float64,
        "train_end_time": pl.Int64,
        **_FIGURE_COLUMNS,
    }
    return pl.DataFrame(rows, schema=schema)


def strategies_frame(stored: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Return stored strategies, given as their fields; the rules and the parameters are JSON texts."""
    texts = ("strategy_id", "exchange", "symbol", "timeframe", "strategy_name", "strategy", "parameters", "status")
    times = ("start_time", "train_end_time", "end_time")
    rows = [
        {
            **{name: item[name] for name in (*texts, "objective", "score", *times)},
            "strategy": _json(item["strategy"]),
            "parameters": _json(item["parameters"]),
            **_columns("in_sample", item["in_sample"]),
            **_columns("out_of_sample", item["out_of_sample"]),
        }
        for item in stored
    ]
    schema = {
        **dict.fromkeys((*texts, "objective"), pl.String),
        "score": pl.Float64,
        **dict.fromkeys(times, pl.Int64),
        **_FIGURE_COLUMNS,
    }
    return pl.DataFrame(rows, schema=schema)


def equity_frame(candles: Candles, result: Backtest, held: Backtest) -> pl.DataFrame:
    """Return an account at each candle's close, from a start of one, beside buy-and-hold.

    Columns: open_time (UTC ms), close, equity, drawdown (of the equity at closes, at most 0), buy_and_hold.
    """
    return pl.DataFrame(
        {
            "open_time": candles.open_time,
            "close": candles.close,
            "equity": result.equity,
            "drawdown": drawdowns(result.equity),
            "buy_and_hold": held.equity,
        }
    )


def check_table_file(file: Path) -> Path:
    """Return the file; raises ValueError where its ending is none of a table's."""
    if file.suffix.lower() not in TABLE_ENDINGS:
        raise ValueError(f"{file}: a table's file must end in {', '.join(TABLE_ENDINGS)}, was {file.suffix!r}")
    return file


def write_frame(frame: pl.DataFrame, file: Path) -> Path:
    """Write a table by the file's ending: .parquet, .arrow or .csv; raises ValueError for another one."""
    check_table_file(file).parent.mkdir(parents=True, exist_ok=True)
    match file.suffix.lower():
        case ".parquet":
            frame.write_parquet(file)
        case ".arrow":
            frame.write_ipc(file)
        case _:
            frame.write_csv(file)
    return file


def _columns(part: str, figures: object) -> dict[str, float | None]:
    known = figures if isinstance(figures, Mapping) else {}
    return {f"{part}_{name}": known.get(name) for name in METRIC_NAMES}


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
