"""Columns that a search has computed serve the next one on the same candles, within their memory."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.columns import ColumnSlab
from alpharay.backtest.market import MEMORY_BUDGET
from alpharay.discovery.evaluation import Batch, Evaluator
from alpharay.discovery.evolution_settings import EvolutionSettings
from alpharay.discovery.open_markets import OpenMarkets, column_bytes, market_bytes
from alpharay.discovery.report import Champion
from alpharay.discovery.rule_evolution import evolve_rules
from alpharay.discovery.search import discover_all
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.strategy import Strategy

CANDLES = random_walk(900, seed=3)
STRATEGY = CATALOGUE["SMA_RSI"]
SEARCH = SearchSettings(population=20, generations=3, seed=4, min_trades=1)
COLUMN = 960 * 8


def champions(
    strategy: Strategy, candles: Candles, search: SearchSettings, markets: OpenMarkets | None = None
) -> list[tuple[Champion, ...]]:
    return [report.champions for report in discover_all([strategy], candles, search, markets=markets)]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many columns each call has computed."""
    counts: list[int] = []
    reserve = ColumnSlab.reserve

    def counted(slab: ColumnSlab, keys: list, keep: set) -> list[int]:
        counts.append(len(keys))
        return reserve(slab, keys, keep)

    monkeypatch.setattr(ColumnSlab, "reserve", counted)
    return counts


def test_the_second_search_of_a_data_set_computes_no_column_again(computed: list[int]) -> None:
    markets = OpenMarkets()
    first = champions(STRATEGY, CANDLES, SEARCH, markets)
    assert sum(computed) > 0
    computed.clear()
    # The same values in other arrays, as the next claim reads them.
    again = champions(STRATEGY, replace(CANDLES, close=CANDLES.close.copy()), SEARCH, markets)
    assert sum(computed) == 0
    assert again == first == champions(STRATEGY, CANDLES, SEARCH)


def test_another_search_of_the_same_candles_finds_what_it_finds_alone() -> None:
    markets = OpenMarkets()
    champions(CATALOGUE["MACD_CROSSOVER"], CANDLES, SEARCH, markets)
    other = replace(SEARCH, timeframes=("1h", "2h"), objective="calmar")
    assert champions(STRATEGY, CANDLES, other, markets) == champions(STRATEGY, CANDLES, other)
    assert len(markets) == 2


def test_an_evolution_uses_them_too(computed: list[int]) -> None:
    markets = OpenMarkets()
    evolution = EvolutionSettings(search=replace(SEARCH, top_n=2), elites=2)
    first = evolve_rules(CANDLES, evolution, markets=markets)
    computed.clear()
    again = evolve_rules(CANDLES, evolution, markets=markets)
    assert sum(computed) == 0
    assert [(one.strategy, one.champions) for one in again] == [(one.strategy, one.champions) for one in first]


def test_corrected_candles_are_other_candles() -> None:
    markets = OpenMarkets()
    market = markets.open(CANDLES)
    close = CANDLES.close.copy()
    close[5] = np.nextafter(close[5], 0.0)
    assert markets.open(replace(CANDLES, close=close)) is not market
    assert markets.open(CANDLES) is market


def test_the_least_recently_opened_makes_room_for_the_whole_budget_of_the_next() -> None:
    parts = [CANDLES.slice(at, at + 300) for at in (0, 300, 600)]
    used = market_bytes(OpenMarkets().open(parts[0]))
    budget = 64 * COLUMN
    markets = OpenMarkets(budget + used)
    first, second = markets.open(parts[0], budget), markets.open(parts[1], budget)
    assert len(markets) == 2
    assert markets.open(parts[0], budget) is first
    markets.open(parts[2], budget)
    assert len(markets) == 2
    assert markets.open(parts[0], budget) is first
    assert markets.open(parts[1], budget) is not second


def test_used_columns_count_and_the_one_in_use_stays_whatever_it_takes() -> None:
    markets = OpenMarkets(1)
    market = markets.open(CANDLES)
    before = market_bytes(market)
    market.columns.reserve(["a", "b"], set())
    assert market_bytes(market) == before + 2 * COLUMN
    assert markets.open(CANDLES) is market
    markets.open(CANDLES.slice(0, 100))
    assert len(markets) == 1


def test_an_evaluator_travels_without_the_markets() -> None:
    evaluator = Evaluator(CANDLES, markets=OpenMarkets())
    batch = Batch(STRATEGY, STRATEGY.genome(STRATEGY.defaults)[None, :])
    again = pickle.loads(pickle.dumps(evaluator))
    assert again.markets is None
    np.testing.assert_array_equal(again(batch).metrics, evaluator(batch).metrics)


def test_columns_get_a_fourth_of_a_worker_and_one_data_set_at_least() -> None:
    assert column_bytes(1_536) == 2 * MEMORY_BUDGET
    assert column_bytes(512) == MEMORY_BUDGET
