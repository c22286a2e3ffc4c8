"""The served vote on a bar is the backtest's decision on that bar."""

from __future__ import annotations

import numpy as np
import pytest

from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.market.candles import Candles
from alpharay.market.sample import sample_candles
from alpharay.signals.vote import NO_VOTE, Position, vote
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.evaluation import signals
from alpharay.strategies.expression import close, open_, ta
from alpharay.strategies.strategy import Strategy
from benchmarks.signal_data import generated_candles

BARS = 600

BOTH_SIDES = Strategy(
    name="BOTH_SIDES",
    description="Long above, short below the average; out of either between two others.",
    parameters=(),
    enter=close.crosses_above(ta.sma(10)),
    exit=close < ta.ema(25),
    enter_short=close.crosses_below(ta.sma(10)),
    exit_short=close > ta.ema(25),
)
REVERSING = Strategy(
    name="REVERSING",
    description="Always in the market: each entry ends the other side.",
    parameters=(),
    enter=ta.rsi(5) > 60.0,
    exit=ta.rsi(5) > 200.0,
    enter_short=ta.rsi(5) < 40.0,
    exit_short=ta.rsi(5) > 200.0,
)
STRATEGIES = (*CATALOGUE.values(), BOTH_SIDES, REVERSING)


def decided_positions(tested: Backtest, bars: int) -> list[Position]:
    """Return the position decided on each bar's close: a trade is decided one bar before it is filled."""
    positions: list[Position] = ["FLAT"] * bars
    for trade in tested.trades.iter_rows(named=True):
        last = bars if trade["exit_reason"] == "open" else trade["exit_bar"] - 1
        for bar in range(trade["entry_bar"] - 1, last):
            positions[bar] = trade["side"].upper()
    return positions


def test_the_plain_walk_of_the_rules_gives_the_same_positions() -> None:
    # The independent answer: the rules' flags walked bar by bar, long only.
    candles = sample_candles()[0].tail(BARS)
    strategy = CATALOGUE["MACD_CROSSOVER"]
    said = signals(strategy, strategy.defaults, candles)
    held = False
    for bar in range(BARS):
        enter, leave = bool(said.enter[bar]), bool(said.exit[bar])
        held = not leave if held else enter and not leave
        if bar % 5 == 0 or enter or leave:
            answer = vote(strategy, strategy.defaults, candles.slice(0, bar + 1))
            assert answer.position == ("LONG" if held else "FLAT"), bar


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("source", ["real", "generated"])
def test_the_vote_on_every_bar_is_what_the_backtest_decided_there(strategy: Strategy, source: str) -> None:
    candles = sample_candles()[1].tail(BARS) if source == "real" else generated_candles("SOL/USD", bars=BARS, seed=7)
    # The backtest cannot fill the last bar's decisions: the bar before is the last that is compared.
    tested = backtest_strategy(strategy, strategy.defaults, candles)
    positions = decided_positions(tested, BARS - 1)
    changes = {bar for bar in range(1, BARS - 1) if positions[bar] != positions[bar - 1]}
    for bar in sorted(changes | set(range(0, BARS - 1, 23))):
        answer = vote(strategy, strategy.defaults, candles.slice(0, bar + 1))
        assert answer.position == positions[bar], f"bar {bar}"
        assert (answer.event is not None) == (bar in changes), f"bar {bar}"
        if bar in changes:
            assert answer.bars_since == 0
            assert answer.decided_at == int(candles.open_time[bar])
        elif answer.bars_since is not None and answer.position != "FLAT":
            filled = bar - answer.bars_since + 1
            assert answer.entry_price == candles.open[filled]


def test_strategies_of_the_parity_test_do_trade() -> None:
    candles = generated_candles("SOL/USD", bars=BARS, seed=7)
    traded = [backtest_strategy(one, one.defaults, candles).metrics.trades for one in (BOTH_SIDES, REVERSING)]
    assert min(traded) > 10


def test_an_entry_an_exit_and_a_reversal_are_named_on_their_own_bar() -> None:
    candles = generated_candles("SOL/USD", bars=BARS, seed=7)
    events = {
        answer.event: answer
        for bar in range(1, BARS)
        if (answer := vote(BOTH_SIDES, {}, candles.slice(0, bar + 1))).event is not None
    } | {
        answer.event: answer
        for bar in range(1, BARS)
        if (answer := vote(REVERSING, {}, candles.slice(0, bar + 1))).event == "REVERSAL"
    }
    assert set(events) == {"ENTRY", "EXIT", "REVERSAL"}
    assert events["ENTRY"].position in ("LONG", "SHORT")
    assert events["ENTRY"].entry_price is None
    assert events["EXIT"].position == "FLAT"
    assert events["EXIT"].leaves in ("LONG", "SHORT")
    assert {events["REVERSAL"].position, events["REVERSAL"].leaves} == {"LONG", "SHORT"}


def test_a_liquidated_short_is_flat_and_stays_so() -> None:
    bars = 30
    price = np.full(bars, 100.0)
    price[10:] = 250.0
    short = Strategy(
        name="SHORT",
        description="Short at once.",
        parameters=(),
        enter=close < 0.0,
        exit=close < 0.0,
        enter_short=open_ > 0.0,
        exit_short=close < 0.0,
    )
    candles = flat_candles(price)
    assert vote(short, {}, candles.slice(0, 9)).position == "SHORT"
    answer = vote(short, {}, candles)
    assert answer.position == "FLAT"
    assert answer.decided_at == int(candles.open_time[10])


def test_no_candles_is_no_vote() -> None:
    assert vote(REVERSING, {}, flat_candles(np.empty(0))) == NO_VOTE


def test_one_candle_and_a_flat_market_are_no_vote() -> None:
    for bars in (1, 200):
        for strategy in CATALOGUE.values():
            assert vote(strategy, strategy.defaults, flat_candles(np.full(bars, 5.0))).position == "FLAT"


def test_a_price_that_is_no_number_is_refused_by_name() -> None:
    price = np.full(5, 100.0)
    price[3] = np.nan
    with pytest.raises(ValueError, match="candle 3"):
        vote(REVERSING, {}, flat_candles(price))


def flat_candles(price: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Candles:
    bars = len(price)
    return Candles(
        "generated",
        "SOL/USD",
        "1h",
        np.arange(bars, dtype=np.int64) * 3_600_000,
        price,
        price,
        price,
        price,
        np.ones(bars),
    )
