"""`alpharay backtest` as a person, and as a script, sees it, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from alpharay.backtest.costs import Costs
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.backtest.stops import Stops
from alpharay.cli.main import app
from alpharay.cli.strategy_source import is_stored_id, strategy_of
from alpharay.market.files import write_candles
from alpharay.market.sample import sample_candles
from alpharay.strategies.catalogue import strategy_named

RULES = """
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy

ABOVE = Strategy("ABOVE", "<script>alert(1)</script>", (Integer("n", 2, 50, default=20),),
                 close > ta.sma(P.n), close < ta.sma(P.n))
BELOW = Strategy("BELOW", "", (Integer("n", 2, 50, default=20),), close < ta.sma(P.n), close > ta.sma(P.n))
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.py"
    path.write_text(RULES)
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["backtest", *map(str, arguments)], env={"COLUMNS": "160"})
    return result.exit_code, result.stdout, result.stderr


def test_json_is_the_backtest_of_the_sample_with_the_parameters_asked_for() -> None:
    code, output, _ = run("macd_crossover", "--parameters", "fast=8,slow=21", "--fee", "0.0004", "--json")
    assert code == 0
    found = json.loads(output)
    strategy = strategy_named("MACD_CROSSOVER")
    values = {**strategy.defaults, "fast": 8, "slow": 21}
    expected = backtest_strategy(strategy, values, sample_candles()[0], costs=Costs(fee=0.0004))
    assert found["parameters"] == values
    assert (found["fee"], found["slippage"], found["strategy_id"]) == (0.0004, 0.0002, None)
    assert found["metrics"] == metrics_json(expected.metrics)
    assert found["trades"]["count"] == len(expected.trades)


def test_a_file_s_rules_on_a_file_s_newest_days_with_a_stop(rules: Path, tmp_path: Path) -> None:
    candles = sample_candles()[0]
    file = write_candles(candles, tmp_path / "SPX-USD_1d.parquet")
    code, output, _ = run(f"{rules}:above", "--candles", file, "--days", 365, "--stop-loss", 0.02, "--json")
    assert code == 0
    newest = candles.slice(int((candles.open_time <= candles.open_time[-1] - 365 * 86_400_000).sum()), len(candles))
    expected = backtest_strategy(strategy_of(f"{rules}:ABOVE"), {"n": 20}, newest, stops=Stops(0.02))
    found = json.loads(output)
    assert found["candles"] == len(newest)
    assert found["metrics"] == metrics_json(expected.metrics)
    assert found["trades"]["exit_reasons"]["stop_loss"] > 0


def test_the_files_hold_trades_equity_and_a_report_that_trusts_no_text(rules: Path, tmp_path: Path) -> None:
    names = ("report.html", "trades.parquet", "equity.arrow")
    report, trades, equity = (tmp_path / "new" / name for name in names)
    code, output, errors = run(f"{rules}:ABOVE", "--report", report, "--trades", trades, "--equity", equity)
    assert code == 0, errors
    assert "ABOVE n=20 on SPX/USD 1d" in output
    assert "total return" in output
    assert "One backtest is no evidence" in output
    expected = backtest_strategy(strategy_of(f"{rules}:ABOVE"), {"n": 20}, sample_candles()[0])
    assert pl.read_parquet(trades).equals(expected.trades)
    frame = pl.read_ipc(equity)
    assert frame.columns == ["open_time", "close", "equity", "drawdown", "buy_and_hold"]
    assert frame["equity"].to_list() == expected.equity.tolist()
    text = report.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_frictions_of_a_file_are_applied(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text('{"starting_capital": 500.0, "lot_size": 1.0}')
    code, output, _ = run("MACD_CROSSOVER", "--frictions", file, "--json")
    assert code == 0
    # 500 buy no whole lot of an index above 500.
    assert json.loads(output)["metrics"]["trades"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NOBODY",), "strategy 'NOBODY' is not in the catalogue"),
        (("MACD_CROSSOVER", "--parameters", "fast=1000"), "fast must be in [5, 20], was 1000"),
        (("MACD_CROSSOVER", "--candles", "nowhere.parquet"), "nowhere.parquet: there is no such file"),
        (("MACD_CROSSOVER", "--candles", "a.csv", "--symbol", "SPX"), "give either --candles or --symbol"),
        (("MACD_CROSSOVER", "--fee", "0.9"), "fee must be in [0, 0.5), was 0.9"),
        (("MACD_CROSSOVER", "--stop-loss", "2"), "stop_loss must be in (0, 1), was 2.0"),
        (("MACD_CROSSOVER,SMA_RSI",), "a backtest is of one strategy, was 2"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    code, output, errors = run(*arguments)
    assert code == 2
    assert output == ""
    (told,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert message in told


def test_a_file_of_several_strategies_must_name_one(rules: Path) -> None:
    for name, message in ((rules, f"name one, such as {rules}:ABOVE"), (f"{rules}:NO", "has no strategy NO; it has")):
        code, _, errors = run(name)
        assert code == 2
        assert message in errors


def test_too_few_candles_are_no_backtest(tmp_path: Path) -> None:
    file = write_candles(sample_candles()[0].slice(0, 1), tmp_path / "SPX-USD_1d.csv")
    assert "needs at least 2 candles" in run("SMA_RSI", "--candles", file)[2]


def test_without_a_database_a_stored_strategy_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ALPHARAY_DATABASE_URL", raising=False)
    for arguments in (["backtest", "3fa9c1"], ["report", "3fa9c1"], ["compare", "3fa9c1"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "run `alpharay stack up`" in result.stderr


def test_ids_are_told_from_names() -> None:
    assert is_stored_id("3fa9c1")
    assert is_stored_id("ab" * 32)
    assert not any(map(is_stored_id, ("abc", "SMA_RSI", "3FA9C1", "rules.py", "ab" * 33, "")))
