"""Users' strategies in files of their own: found, refused with a place and a reason, and carried to other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waves import wave_candles

from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
from alpharay.indicators.registry import INDICATORS
from alpharay.indicators.source_file import SourceFileError, read_source_file, run_source_file
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.loading import run_files, strategies_from, strategies_in_file

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "my_rules.py"
IMPORTS = """
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.expression import P, close, ta
from alpharay.strategies.strategy import Integer, Strategy

def rule(name, length=20):
    return Strategy(name, "", (Integer("n", 5, 50, default=length),), close > ta.sma(P.n), close < ta.sma(P.n))
"""


@pytest.fixture(autouse=True)
def _forget_the_test_s_indicators():
    known, modules = set(INDICATORS), set(sys.modules)
    yield
    for name in INDICATORS.keys() - known:
        del INDICATORS[name]
    for name in sys.modules.keys() - modules:
        if name.startswith("alpharay_source_"):
            del sys.modules[name]


@pytest.fixture
def rules(tmp_path):
    """Return a function that writes a file of rules and returns its path."""

    def write(text: str, name: str = "rules.py") -> Path:
        path = tmp_path / name
        path.write_text(IMPORTS + text)
        return path

    return write


def test_a_file_s_variables_are_its_strategies_in_their_order(rules):
    path = rules(
        "B = rule('B')\nA = rule('A')\n_HIDDEN = rule('HIDDEN')\nSAME = A\n"
        "MORE = [rule(f'MORE_{n}', n) for n in (7, 9)]\nTAKEN = CATALOGUE['SMA_RSI']\n"
    )
    assert [strategy.name for strategy in strategies_in_file(path)] == ["B", "A", "MORE_7", "MORE_9"]


def test_names_all_and_files_go_together(rules):
    path = rules("A = rule('A')")
    assert [one.name for one in strategies_from(f"sma_rsi, {path} ,MACD_CROSSOVER")] == [
        "SMA_RSI", "A", "MACD_CROSSOVER",
    ]  # fmt: skip
    assert [one.name for one in strategies_from(f"all,SMA_RSI,{path}")] == [*CATALOGUE, "A"]
    assert strategies_from("All") == tuple(CATALOGUE.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A = rule('A'", r"rules\.py:8: SyntaxError: '\(' was never closed"),
        ("\nA = rule('A', 3)", r"rules\.py:7: ValueError: parameter n: default must be in \[5, 50\], was 3"),
        ("import no_such_package", r"rules\.py:8: ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise SystemExit(3)", r"rules\.py:8: SystemExit: 3"),
        ("_A = rule('A')", r"rules\.py: no Strategy found"),
        ("A = CATALOGUE['SMA_RSI']", r"rules\.py: no Strategy found"),
        ("A = rule('SMA_RSI')", r"rules\.py: A: the catalogue has another strategy SMA_RSI"),
        ("A = rule('X')\nB = rule('X', 7)", r"rules\.py: B: A is named X too"),
        ("A = rule('my rule')", r"rules\.py: A: a strategy's name must be capitals.*was 'my rule'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_place(rules, text, message):
    with pytest.raises(SourceFileError, match=message):
        strategies_in_file(rules(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be names, all, or files that end in \.py, was ''"),
        (" , ", "must be names"),
        ("NO_SUCH", r"strategy 'NO_SUCH' is not in the catalogue, nor a file.*SMA_RSI"),
        ("no_such_file.py", r"no_such_file\.py: the file cannot be read: No such file"),
    ],
)
def test_a_list_that_cannot_be_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        strategies_from(text)


def test_two_files_with_one_name_for_two_rules_are_refused(rules):
    first, second = rules("A = rule('A')", "one.py"), rules("A = rule('A', 9)", "two.py")
    with pytest.raises(ValueError, match=r"two of the files .* define a strategy A"):
        strategies_from(f"{first},{second}")


OWN_INDICATOR = """
import numpy as np
from numba import njit
from alpharay.indicators.registry import indicator

@njit(cache=True)
def _doubled(values):
    return values * 2.0

@indicator(inputs=("close",), warm_up=lambda length: 0)
def {name}(close: np.ndarray, length: int) -> np.ndarray:
    return _doubled(close) + length

DOUBLED = Strategy(
    "DOUBLED", "", (Integer("n", 1, 50, default=20),),
    ta.{name}(P.n) > ta.sma(P.n, of=close * 2.0), ta.{name}(P.n) < ta.sma(P.n, of=close * 2.0),
)
"""


def test_a_file_is_run_once_however_often_it_is_asked_for(rules):
    path = rules(OWN_INDICATOR.replace("{name}", "run_once"))
    assert strategies_in_file(path) == strategies_in_file(path)
    assert run_source_file(read_source_file(path)) is run_source_file(read_source_file(str(path)))


def test_a_file_that_fails_leaves_no_indicator_behind(rules):
    path = rules(OWN_INDICATOR.replace("{name}", "left_behind") + "\n1 / 0\n")
    with pytest.raises(SourceFileError, match=r"rules\.py:26: ZeroDivisionError"):
        strategies_in_file(path)
    assert "left_behind" not in INDICATORS


def test_an_indicator_that_exists_is_refused_with_its_line(rules):
    with pytest.raises(SourceFileError, match=r"rules\.py:17: ValueError: indicator 'sma' is registered twice"):
        strategies_in_file(rules(OWN_INDICATOR.replace("{name}", "sma")))


IN_ANOTHER_PROCESS = """
import pickle, sys
from alpharay.backtest.market import open_market
from alpharay.backtest.population import backtest_population
strategy, genomes, candles = pickle.load(open(sys.argv[1], "rb"))
for _ in range(2):
    strategy = pickle.loads(pickle.dumps(strategy))
result = backtest_population(strategy, genomes, open_market(candles))
pickle.dump(result.outcome, open(sys.argv[2], "wb"))
"""


def test_a_strategy_works_in_a_process_that_has_neither_its_file_nor_its_indicator(rules, tmp_path):
    path = rules(OWN_INDICATOR.replace("{name}", "doubled_elsewhere"))
    (strategy,) = strategies_in_file(path)
    candles, genomes = wave_candles(500), np.array([[5.0], [20.0]])
    here = backtest_population(strategy, genomes, open_market(candles))
    assert here.metric("trades").min() > 0
    (tmp_path / "task").write_bytes(pickle.dumps((strategy, genomes, candles)))
    path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(tmp_path / "task"), str(tmp_path / "answer")],
        cwd=ROOT, env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    there = pickle.loads((tmp_path / "answer").read_bytes())
    np.testing.assert_array_equal(there, here.outcome)


def test_a_strategy_whose_indicator_is_not_to_be_had_is_refused_where_it_arrives(rules):
    path = rules(OWN_INDICATOR.replace("{name}", "soon_gone"))
    (strategy,) = strategies_in_file(path)
    wire = pickle.dumps(strategy)
    del INDICATORS["soon_gone"]
    with pytest.raises(ValueError, match=r"DOUBLED uses the indicators \['soon_gone'\], which are not registered"):
        pickle.loads(wire)


def test_files_of_the_settings_register_their_indicators_and_a_bad_one_stops_no_other(rules):
    bad, good = rules("1 / 0", "bad.py"), rules(OWN_INDICATOR.replace("{name}", "served"), "good.py")
    (problem,) = run_files(f"{bad}, {good},")
    assert "bad.py:8: ZeroDivisionError" in problem
    assert "served" in INDICATORS
    assert run_files("") == []


def test_a_strategy_of_the_catalogue_takes_no_file_along():
    strategy = CATALOGUE["SMA_RSI"]
    wire = pickle.dumps(strategy)
    assert pickle.loads(wire) == strategy
    assert b"SourceFile" not in wire


def test_the_example_s_strategies_trade_and_are_the_same_for_a_population():
    from alpharay.backtest.single import backtest_strategy

    for strategy in strategies_from(str(EXAMPLE)):
        candles = wave_candles(2_000)
        fast = backtest_population(strategy, strategy.genome(strategy.defaults)[None, :], open_market(candles))
        assert fast.row(0) == backtest_strategy(strategy, strategy.defaults, candles).metrics
        assert fast.metric("trades")[0] >= 1
