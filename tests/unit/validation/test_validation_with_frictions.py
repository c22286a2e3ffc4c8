"""A validation trades with the frictions of the discovery: in every gate, and nowhere when there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from series import HOUR_MS, waves

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.search import SearchSettings, discover
from alpharay.discovery.split import Split, out_of_sample
from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import FROZEN, LastGate, configuration_hash, configuration_json
from alpharay.validation.cost_stress import cost_stress, stressed_frictions
from alpharay.validation.excess import excess_sharpe, positions
from alpharay.validation.permutation import PERMUTATION_STREAM
from alpharay.validation.sign_flip import sign_flipped
from alpharay.validation.validation import (
    Subject,
    Validation,
    ValidationSettings,
    validate_strategy,
    validation_hash,
    validation_json,
)
from alpharay.validation.walk_forward import WalkForwardSettings, walk_forward

STRATEGY = strategy_named("DOUBLE_EMA_CROSSOVER")
SEARCH = SearchSettings(population=8, generations=2, min_trades=3, top_n=1, seed=2)
COSTS = Costs(fee=0.002, slippage=0.0005)
SETTINGS = ValidationSettings(
    permutations=19,
    walk_forward=WalkForwardSettings(windows=2),
    last_gate=LastGate(min_trades=3, min_days=10, permutations=19, level=0.5),
    sampled_trials=8,
)
FRICTIONS = Frictions(
    starting_capital=20_000.0,
    fee_tiers=(FeeTier(volume=0.0, fee=0.003), FeeTier(volume=100_000.0, fee=0.001)),
    impact=SquareRootImpact(coefficient=0.001, participation=0.8),
    tick_size=0.5,
    lot_size=0.5,
    minimum_notional=100.0,
    funding=Funding(long=0.0002, short=-0.0001),
)
SEEN_BARS = 1_200


@pytest.fixture(scope="module")
def candles() -> Candles:
    return waves(2_000, period=120)


@pytest.fixture(scope="module")
def subject(candles: Candles) -> Subject:
    report = discover(STRATEGY, candles.slice(0, SEEN_BARS), SEARCH, costs=COSTS, frictions=FRICTIONS)
    return Subject(
        strategy=STRATEGY,
        parameters=report.champions[0].parameters,
        search=SEARCH,
        costs=COSTS,
        frictions=FRICTIONS,
        start_time=0,
        train_end_time=report.parts.train_end_time,
        end_time=SEEN_BARS * HOUR_MS,
    )


@pytest.fixture(scope="module")
def validated(candles: Candles, subject: Subject) -> Validation:
    return validate_strategy(subject, candles, SETTINGS)


def parts_of(subject: Subject, candles: Candles) -> Split:
    return Split(candles.slice(0, SEEN_BARS), subject.train_end_time // HOUR_MS)


def test_figures_in_and_out_of_sample_are_those_of_backtests_with_frictions(
    candles: Candles, subject: Subject, validated: Validation
) -> None:
    parts = parts_of(subject, candles)
    before = backtest_strategy(STRATEGY, subject.parameters, parts.train, costs=COSTS, frictions=FRICTIONS)
    after = out_of_sample(STRATEGY, subject.parameters, parts, COSTS, frictions=FRICTIONS)
    assert validated.in_sample == metrics_json(before.metrics)
    assert validated.held_out == metrics_json(after.metrics)
    assert validated.neighbourhood.score == before.metrics.sharpe
    assert validated.permutation.observed == excess_sharpe(before, parts.train)
    assert sum(part.days for part in validated.regimes) == SEEN_BARS // 24


def test_the_null_is_made_of_searches_with_frictions(candles: Candles, subject: Subject, validated: Validation) -> None:
    train = parts_of(subject, candles).train
    flipped = sign_flipped(train, np.random.default_rng([PERMUTATION_STREAM, SETTINGS.seed, 0]))
    frictions = replace(FRICTIONS, tick_size=min(0.5, float(flipped.low.min())))
    (best,) = discover(
        STRATEGY, flipped, replace(SEARCH, train_fraction=1.0), costs=COSTS, frictions=frictions
    ).champions
    result = backtest_strategy(STRATEGY, best.parameters, flipped, costs=COSTS, frictions=frictions)
    assert validated.permutation.null[0] == excess_sharpe(result, flipped)


def test_walk_forward_searches_and_trades_each_window_with_frictions(
    candles: Candles, subject: Subject, validated: Validation
) -> None:
    assert validated.walk_forward is not None
    window = validated.walk_forward.windows[0]
    seen = candles.between(window.train_start_time, window.test_end_time)
    train = candles.between(window.train_start_time, window.train_end_time)
    share = len(train) / (SEEN_BARS * SEARCH.train_fraction)
    inner = replace(SEARCH, train_fraction=1.0, min_trades=int(np.ceil(SEARCH.min_trades * min(share, 1.0))))
    (best,) = discover(STRATEGY, train, inner, costs=COSTS, frictions=FRICTIONS).champions
    assert window.parameters == best.parameters
    at = int(np.searchsorted(seen.open_time, window.test_start_time))
    after = out_of_sample(STRATEGY, best.parameters, Split(seen, at), COSTS, frictions=FRICTIONS)
    assert window.out_of_sample_return == after.metrics.total_return
    plain = out_of_sample(STRATEGY, best.parameters, Split(seen, at), COSTS)
    assert window.out_of_sample_return < plain.metrics.total_return


def test_costs_are_stressed_with_tiers_impact_and_paid_funding(candles: Candles, subject: Subject) -> None:
    doubled = replace(
        FRICTIONS,
        fee_tiers=(FeeTier(volume=0.0, fee=0.006), FeeTier(volume=100_000.0, fee=0.002)),
        impact=SquareRootImpact(coefficient=0.002, participation=0.8),
        funding=Funding(long=0.0004, short=-0.0001),
    )
    assert stressed_frictions(FRICTIONS, 2.0) == doubled
    assert stressed_frictions(None, 2.0) is None
    assert stressed_frictions(Frictions(lot_size=1.0), 3.0) == Frictions(lot_size=1.0)
    found = cost_stress(STRATEGY, subject.parameters, candles, COSTS, frictions=FRICTIONS)
    costs = Costs(fee=0.004, slippage=0.001)
    expected = backtest_strategy(STRATEGY, subject.parameters, candles, costs=costs, frictions=doubled)
    assert found.at(2.0).metrics == metrics_json(expected.metrics)
    assert found.break_even is not None
    # A hundred times the dearest possible stays possible.
    assert stressed_frictions(FRICTIONS, 1e6) is not None


def test_fees_of_tiers_alone_have_a_break_even_and_ticks_alone_have_none(candles: Candles, subject: Subject) -> None:
    free, tiers = Costs(0.0, 0.0), Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.005),))
    assert cost_stress(STRATEGY, subject.parameters, candles, free, frictions=tiers).break_even is not None
    ticks = Frictions(tick_size=0.01)
    assert cost_stress(STRATEGY, subject.parameters, candles, free, frictions=ticks).break_even is None


def test_unseen_candles_are_traded_with_frictions_and_the_record_says_which(
    candles: Candles, subject: Subject, validated: Validation
) -> None:
    assert validated.unseen is not None, validated.verdict.text
    within = validated.unseen.interval
    until = candles.between(0, within.end)
    at = within.start // HOUR_MS
    after = out_of_sample(STRATEGY, subject.parameters, Split(until, at), COSTS, frictions=FRICTIONS)
    assert validated.unseen.metrics == metrics_json(after.metrics)
    assert validation_json(validated)["frictions"] == frictions_to_json(FRICTIONS)


def test_frictions_are_another_configuration_and_without_them_hashes_stay(subject: Subject) -> None:
    none = replace(subject, frictions=None)
    hashes = {
        validation_hash(item, "1h", SETTINGS)
        for item in (none, subject, replace(subject, frictions=replace(FRICTIONS, lot_size=1.0)))
    }
    assert len(hashes) == 3
    assert "frictions" not in configuration_json(FROZEN)
    assert configuration_hash(replace(FROZEN, frictions=FRICTIONS)) != configuration_hash(FROZEN)


def test_a_part_of_the_equity_counts_as_that_part_of_the_market(candles: Candles) -> None:
    result = backtest_strategy(
        STRATEGY, STRATEGY.defaults, candles, frictions=Frictions(starting_capital=150.0, lot_size=1.0)
    )
    held = positions(result)
    shares = set(result.trades["invested"].to_list())
    assert any(share < 0.9 for share in shares), "a lot is a large part of this account"
    assert set(held.tolist()) <= {0.0, *shares}
    whole = positions(backtest_strategy(STRATEGY, STRATEGY.defaults, candles))
    assert set(whole.tolist()) == {0.0, 1.0}


def test_a_position_open_at_a_windows_end_pays_the_dearest_tier(candles: Candles) -> None:
    tiers = (FeeTier(volume=0.0, fee=0.01), FeeTier(volume=1e12, fee=0.0))
    cut = WalkForwardSettings(windows=3)

    def ending(frictions: Frictions | None, costs: Costs) -> float:
        found = walk_forward(
            STRATEGY, candles.slice(0, 1_170), SEARCH, cut, purged_bars=10, costs=costs, frictions=frictions,
            executor=SerialExecutor(),
        )  # fmt: skip
        before_closing = np.prod([1.0 + window.out_of_sample_return for window in found.windows])
        assert 1.0 + found.total_return < before_closing, "a window ends with a position"
        return found.total_return

    # With one tier that holds from the first trade on, an account of fractions pays what plain costs of that fee are.
    assert ending(Frictions(fee_tiers=tiers), Costs(0.5 - 1e-9, 0.0)) == pytest.approx(ending(None, Costs(0.01, 0.0)))
