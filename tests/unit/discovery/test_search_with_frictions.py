from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from market_series import random_walk

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact
from alpharay.backtest.metrics import metrics_row
from alpharay.backtest.single import backtest, backtest_strategy
from alpharay.discovery.checkpoint import Checkpoint, CheckpointError
from alpharay.discovery.evaluation import Batch, Evaluator
from alpharay.discovery.leaderboard import reading_notes, report_json
from alpharay.discovery.search import DiscoveryReport, SearchSettings, discover
from alpharay.discovery.split import out_of_sample
from alpharay.strategies.catalogue import CATALOGUE

CANDLES = random_walk(1500)
SETTINGS = SearchSettings(population=16, generations=4, seed=2, min_trades=1, top_n=3)
STRATEGY = CATALOGUE["SMA_RSI"]
COSTS = Costs(fee=0.002, slippage=0.0005)
FRICTIONS = Frictions(
    starting_capital=50_000.0,
    fee_tiers=(FeeTier(volume=0.0, fee=0.0015), FeeTier(volume=500_000.0, fee=0.0005)),
    impact=SquareRootImpact(coefficient=0.05, participation=0.5),
    tick_size=0.01,
    lot_size=0.1,
    minimum_notional=20.0,
    funding=Funding(long=0.0001),
)


@pytest.fixture(scope="module")
def report() -> DiscoveryReport:
    return discover(STRATEGY, CANDLES, SETTINGS, costs=COSTS, frictions=FRICTIONS)


def test_champions_of_a_search_with_frictions_did_what_backtests_with_them_do(report: DiscoveryReport) -> None:
    assert report.champions
    assert report.frictions == FRICTIONS
    for champion in report.champions:
        before = backtest_strategy(
            STRATEGY, champion.parameters, report.parts.train, costs=COSTS, frictions=FRICTIONS
        ).metrics
        after = out_of_sample(STRATEGY, champion.parameters, report.parts, COSTS, frictions=FRICTIONS).metrics
        assert champion.in_sample == before
        assert champion.out_of_sample == after
        plain = backtest_strategy(STRATEGY, champion.parameters, report.parts.train, costs=COSTS).metrics
        assert champion.in_sample.total_return != pytest.approx(plain.total_return, rel=1e-3)


def test_buy_and_hold_beside_it_pays_the_same_frictions(report: DiscoveryReport) -> None:
    for candles, held in (
        (report.parts.train, report.hold_in_sample),
        (report.parts.test, report.hold_out_of_sample),
    ):
        first = np.arange(len(candles)) == 0
        never = np.zeros(len(candles), dtype=np.bool_)
        assert held == backtest(candles, first, never, costs=COSTS, frictions=FRICTIONS).metrics
        assert held != backtest(candles, first, never, costs=COSTS).metrics


def test_what_is_shown_tells_the_frictions_and_nothing_where_there_are_none(report: DiscoveryReport) -> None:
    assert "an account of 50,000 with fee tiers" in reading_notes([report])[0]
    assert report_json(report)["frictions"]["tick_size"] == 0.01  # type: ignore[index]
    plain = replace(report, frictions=None)
    assert "account" not in reading_notes([plain])[0]
    assert "frictions" not in report_json(plain)


def test_an_evaluator_takes_its_frictions_along_and_gives_the_bits_of_single_backtests() -> None:
    evaluator = Evaluator(CANDLES, COSTS, frictions=FRICTIONS, share=2)
    genomes = np.array([STRATEGY.genome(STRATEGY.defaults)])
    (row,) = pickle.loads(pickle.dumps(evaluator))(Batch(STRATEGY, genomes)).metrics
    expected = backtest_strategy(STRATEGY, STRATEGY.defaults, CANDLES, costs=COSTS, frictions=FRICTIONS).metrics
    assert metrics_row(row) == expected


def test_a_checkpoint_tells_frictions_only_where_there_are_some() -> None:
    plain: list[Checkpoint] = []
    dear: list[Checkpoint] = []
    whole = discover(STRATEGY, CANDLES, SETTINGS, frictions=FRICTIONS, on_checkpoint=dear.append)
    discover(STRATEGY, CANDLES, SETTINGS, on_checkpoint=plain.append)
    assert "frictions" not in plain[0].searches[0].configuration
    resumed = discover(STRATEGY, CANDLES, SETTINGS, frictions=FRICTIONS, resume=dear[1])
    assert (resumed.champions, resumed.evaluations) == (whole.champions, whole.evaluations)
    with pytest.raises(CheckpointError, match="its frictions was absent"):
        discover(STRATEGY, CANDLES, SETTINGS, frictions=FRICTIONS, resume=plain[1])
    with pytest.raises(CheckpointError, match="here it is absent"):
        discover(STRATEGY, CANDLES, SETTINGS, resume=dear[1])
