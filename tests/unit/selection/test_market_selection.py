from dataclasses import replace

import numpy as np
import pytest

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions
from alpharay.market.candles import Candles
from alpharay.market.timeframe import DAY_MS
from alpharay.selection.confidence import KindRecord
from alpharay.selection.market_selection import TrustedStrategy, select
from alpharay.strategies.catalogue import strategy_named

KINDS = {"SMA_EMA_CROSSOVER": KindRecord(20, 10), "MACD_CROSSOVER": KindRecord(20, 2)}


@pytest.fixture(scope="module")
def candles() -> Candles:
    """Return 800 days of hours on which trends last some days: trend followers earn, the opposite loses."""
    generator = np.random.default_rng(2)
    bars = 800 * 24
    drift = np.repeat(generator.choice([-0.004, 0.004], bars // 96), 96)
    close = 100.0 * np.exp(np.cumsum(drift + generator.normal(0.0, 0.002, bars)))
    opening = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opening, close) * 1.0005, np.minimum(opening, close) / 1.0005
    times = np.arange(bars, dtype=np.int64) * 3_600_000
    return Candles("test", "A/B", "1h", times, opening, high, low, close, generator.uniform(1.0, 2.0, bars))


def trusted(strategy_id: str, name: str, candles: Candles, *, deployed_day: int | None = None, **parameters: int):
    strategy = strategy_named(name)
    return TrustedStrategy(
        strategy_id,
        strategy,
        strategy.defaults | parameters,
        start_time=int(candles.open_time[0]),
        train_end_time=300 * DAY_MS,
        end_time=790 * DAY_MS,
        deployed_at=None if deployed_day is None else deployed_day * DAY_MS,
    )


def test_the_good_ones_are_deployed_and_the_scores_rest_on_unseen_days_only(candles):
    strategies = [
        trusted("trend", "SMA_EMA_CROSSOVER", candles),
        trusted("macd", "MACD_CROSSOVER", candles),
        trusted("donchian", "DONCHIAN_BREAKOUT", candles),
    ]
    found = select(strategies, candles, KINDS)
    assert {score.strategy_id for score in found.scores} == {"trend", "macd", "donchian"}
    assert all(score.unseen_days == 500 for score in found.scores)
    assert found.decided_at == 800 * DAY_MS
    deployed = [move.strategy_id for move in found.moves]
    assert deployed == [member.strategy_id for member in found.ensemble.members][: len(deployed)]
    assert all(move.kind == "DEPLOY" for move in found.moves)
    assert found.moves


def test_each_strategy_is_scored_at_the_costs_that_it_was_validated_with(candles):
    plain = trusted("plain", "SMA_EMA_CROSSOVER", candles)
    dear = replace(plain, strategy_id="dear", costs=Costs(fee=0.2))
    tiers = Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.2),))
    tiered = replace(plain, strategy_id="tiered", frictions=tiers)
    several = (plain, dear, tiered)
    found = {one.strategy_id: one.confidence.performance for one in select(several, candles, KINDS).scores}
    assert found["dear"] < found["plain"]
    assert found["tiered"] < found["plain"]
    alone = [select([one], candles, KINDS).scores[0].confidence.performance for one in several]
    assert alone == [found[one.strategy_id] for one in several], "one's costs are not another's"


def test_what_the_search_saw_decides_nothing(candles):
    strategies = [trusted("donchian", "DONCHIAN_BREAKOUT", candles)]
    seen = candles.open_time < 300 * DAY_MS
    other = np.where(seen, candles.volume * 2.0, candles.volume)
    assert select(strategies, replace(candles, volume=other), KINDS) == select(strategies, candles, KINDS)
    first = select(strategies, candles, KINDS).scores[0]
    later = select([replace(strategies[0], train_end_time=700 * DAY_MS)], candles, KINDS).scores[0]
    assert later.unseen_days == 100
    assert later.confidence.performance < first.confidence.performance


def test_a_decayed_strategy_retires_and_frees_its_place(candles):
    # The market turns on day 600: from then on every trend is broken at once.
    generator = np.random.default_rng(9)
    broken = candles.close.copy()
    turn = 600 * 24
    broken[turn:] = broken[turn - 1] * np.exp(np.cumsum(generator.normal(0.0, 0.004, len(broken) - turn)))
    opening = np.concatenate([[100.0], broken[:-1]])
    high, low = np.maximum(opening, broken) * 1.0005, np.minimum(opening, broken) / 1.0005
    turned = replace(candles, open=opening, high=high, low=low, close=broken)
    found = select([trusted("old", "DONCHIAN_BREAKOUT", candles, deployed_day=601)], turned, KINDS)
    assert "old" in found.retirements
    assert found.moves == ()
    assert found.ensemble.members == ()


def test_a_deployed_strategy_that_earns_stays_and_is_no_challenger(candles):
    found = select([trusted("good", "DONCHIAN_BREAKOUT", candles, deployed_day=600)], candles, KINDS)
    assert found.retirements == {}
    assert found.moves == ()
    assert [member.strategy_id for member in found.ensemble.members] == ["good"]


def test_a_strategy_with_old_evidence_is_scored_but_not_deployed(candles):
    old = replace(trusted("old", "DONCHIAN_BREAKOUT", candles), end_time=600 * DAY_MS)
    found = select([old], candles, KINDS)
    assert [score.strategy_id for score in found.scores] == ["old"]
    assert found.moves == ()
    assert found.ensemble.members == ()


def test_a_strategy_that_cannot_be_evaluated_is_named_and_the_others_go_on(candles):
    broken = replace(trusted("broken", "SMA_RSI", candles), parameters={"unknown": 1.0})
    found = select([broken, trusted("good", "DONCHIAN_BREAKOUT", candles)], candles, KINDS)
    assert found.problems[0].startswith("broken: strategy SMA_RSI takes the parameters")
    assert [score.strategy_id for score in found.scores] == ["good"]


def test_no_candles_or_no_strategies_decide_nothing(candles):
    assert select([trusted("good", "DONCHIAN_BREAKOUT", candles)], candles.slice(0, 0), KINDS).scores == ()
    assert select([], candles, {}).moves == ()
