"""`alpharay strategies lookahead` and `recursive` as a person, and as a script, sees them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alpharay.cli.strategies import app
from alpharay.indicators.registry import INDICATORS
from alpharay.market.files import write_candles
from alpharay.market.sample import sample_candles

RULES = """
import numpy as np
from alpharay.indicators.registry import indicator
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy

@indicator(inputs=("close",), warm_up=lambda: 0)
def next_close(close: np.ndarray) -> np.ndarray:
    return np.roll(close, -1)

CHEAT = Strategy("CHEAT", "", (), ta.next_close() > close, ta.next_close() < close)
HONEST = Strategy("HONEST", "", (Integer("n", 2, 50, default=20),), close > ta.ema(P.n), close < ta.ema(P.n))
"""


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "rules.py"
    path.write_text(RULES)
    known, modules = set(INDICATORS), set(sys.modules)
    yield path
    for name in INDICATORS.keys() - known:
        del INDICATORS[name]
    for name in {name for name in sys.modules.keys() - modules if name.startswith("alpharay_source_")}:
        del sys.modules[name]


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": "160"})
    return result.exit_code, result.stdout, result.stderr


def test_a_look_ahead_ends_with_1_and_names_indicator_rules_and_candle(rules: Path) -> None:
    code, out, _ = run("lookahead", rules, "--prefixes", 50)
    assert code == 1
    assert "CHEAT looks ahead" in out
    assert "next_close" in out
    assert "1999-01-04" in out
    assert "HONEST: no look-ahead in 50 lengths of history" in out


def test_honest_rules_end_with_0_on_candles_of_a_file(rules: Path, tmp_path: Path) -> None:
    file = write_candles(sample_candles()[1].tail(300), tmp_path / "IXIC-USD_1d.parquet")
    code, out, _ = run("lookahead", "SMA_RSI,DOUBLE_EMA_CROSSOVER", "--candles", file, "--prefixes", 20)
    assert code == 0
    assert "IXIC/USD 1d, 300 candles" in out


def test_json_is_for_scripts_and_has_no_number_that_json_lacks(rules: Path) -> None:
    code, out, _ = run("lookahead", rules, "--prefixes", 50, "--json")
    assert code == 1
    cheat, honest = json.loads(out)
    assert (cheat["strategy"], honest["strategy"], honest["found"]) == ("CHEAT", "HONEST", [])
    assert {item["part"] for item in cheat["found"]} == {"next_close", "enter", "exit"}
    code, out, _ = run("recursive", "DONCHIAN_BREAKOUT", "--json")
    (report,) = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert code == 0
    assert report["needed"] == {"rule": report["needed"]["rule"], "indicator": 19}
    assert report["parts"][0]["part"] == "highest(20)"


def test_parameters_given_are_the_ones_checked() -> None:
    code, out, _ = run("recursive", "DONCHIAN_BREAKOUT", "--parameters", "length=40")
    assert code == 0
    assert "highest(40)" in out
    assert "indicators from 39 candles on" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NO_SUCH",), "strategy 'NO_SUCH' is not in the catalogue"),
        (("nowhere.py",), "the file cannot be read"),
        (("SMA_RSI", "--parameters", "speed=3"), "no parameter 'speed'"),
        (("SMA_RSI", "--parameters", "rsi=fast"), "rsi must be a number, was 'fast'"),
        (("SMA_RSI", "--parameters", "rsi=99"), "rsi must be in [2, 30], was 99"),
        (("all", "--parameters", "rsi=9"), "--parameters are of one strategy"),
        (("SMA_RSI", "--candles", "nowhere.parquet"), "there is no such file"),
    ],
)
@pytest.mark.parametrize("command", ["lookahead", "recursive"])
def test_what_cannot_be_checked_ends_with_2_and_the_reason(
    command: str, arguments: tuple[str, ...], message: str
) -> None:
    code, _, problem = run(command, *arguments)
    assert code == 2
    assert message in problem
