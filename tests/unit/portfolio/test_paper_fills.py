"""Fills on paper: no better than the market, never more than there is, and always the same."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.backtest.costs import NO_COSTS, Costs
from alpharay.backtest.frictions import FeeTier, Frictions, SquareRootImpact
from alpharay.market.candles import Candles
from alpharay.portfolio.orders import Order
from alpharay.portfolio.paper_fills import PaperTerms, paper_fills, refusal, tier_fee

MINUTE = 60_000
FREE = PaperTerms(costs=NO_COSTS, frictions=Frictions())
MARKET = Order(order_id="o1", account_id="paper", symbol="BTC/USD", side="buy", quantity=Decimal(2))


def bars(*rows: tuple[float, float, float, float, float]) -> Candles:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return Candles("test", "BTC/USD", "1m", np.arange(len(rows), dtype=np.int64) * MINUTE, *columns)


def limit(price: str, side: str = "buy") -> Order:
    return replace(MARKET, kind="limit", limit_price=Decimal(price), side=side)  # type: ignore[arg-type]


FLAT = (100.0, 101.0, 99.0, 100.0, 50.0)


def test_market_order_fills_at_the_open_of_the_first_bar() -> None:
    (fill,) = paper_fills(MARKET, Decimal(0), bars(FLAT, FLAT), FREE)
    assert (fill.fill_id, fill.quantity, fill.price, fill.fee, fill.time_ms) == ("o1:0", 2, 100, 0, 0)


def test_no_bars_fill_nothing() -> None:
    assert paper_fills(MARKET, Decimal(0), bars(), PaperTerms()) == []


def test_what_is_filled_already_is_not_filled_again() -> None:
    assert paper_fills(MARKET, Decimal(2), bars(FLAT), FREE) == []
    (fill,) = paper_fills(MARKET, Decimal("1.5"), bars(FLAT), FREE)
    assert fill.quantity == Decimal("0.5")


@pytest.mark.parametrize(("side", "price"), [("buy", "100.1"), ("sell", "99.9")])
def test_slippage_and_fee_are_to_the_traders_disadvantage(side, price) -> None:
    terms = PaperTerms(costs=Costs(fee=0.001, slippage=0.001), frictions=Frictions())
    (fill,) = paper_fills(replace(MARKET, side=side), Decimal(0), bars(FLAT), terms)
    assert float(fill.price) == pytest.approx(float(price), rel=1e-12)
    assert float(fill.fee) == pytest.approx(2 * float(price) * 0.001, rel=1e-7)


def test_bar_gives_no_more_than_its_share_and_the_next_ones_go_on() -> None:
    terms = PaperTerms(
        costs=NO_COSTS, frictions=Frictions(impact=SquareRootImpact(coefficient=0.0, participation=0.01))
    )
    fills = paper_fills(MARKET, Decimal(0), bars(*[FLAT] * 12), terms)
    assert len(fills) >= 4
    assert all(Decimal("0.25") <= fill.quantity <= Decimal("0.5") for fill in fills[:-1])
    assert sum(fill.quantity for fill in fills) == 2
    assert len({fill.quantity for fill in fills}) > 2


def test_impact_grows_with_the_root_of_the_share() -> None:
    terms = PaperTerms(
        costs=NO_COSTS,
        frictions=Frictions(impact=SquareRootImpact(coefficient=0.1, participation=1.0)),
        least_share=1.0,
    )
    (fill,) = paper_fills(MARKET, Decimal(0), bars(FLAT), terms)
    assert float(fill.price) == pytest.approx(100.0 * (1.0 + 0.1 * (2 / 50) ** 0.5), rel=1e-12)


def test_bar_without_volume_is_waited_out() -> None:
    dry = (100.0, 101.0, 99.0, 100.0, 0.0)
    assert paper_fills(MARKET, Decimal(0), bars(dry), PaperTerms()) == []
    assert paper_fills(MARKET, Decimal(0), bars(dry, FLAT), PaperTerms())[0].time_ms == MINUTE


@pytest.mark.parametrize(
    ("order", "price"),
    [
        (limit("99.5"), Decimal("99.5")),
        (limit("99"), None),  # touched only: others were first
        (limit("98"), None),
        (limit("100.5"), Decimal(100)),  # the open is better
        (limit("100.5", "sell"), Decimal("100.5")),
        (limit("101", "sell"), None),
        (limit("99", "sell"), Decimal(100)),
    ],
)
def test_limit_order_fills_where_the_price_goes_through_it(order, price) -> None:
    fills = paper_fills(order, Decimal(0), bars(FLAT), FREE)
    assert [fill.price for fill in fills] == ([] if price is None else [price])


def test_fill_within_a_bar_is_known_at_its_end() -> None:
    assert paper_fills(limit("99.5"), Decimal(0), bars(FLAT), FREE)[0].time_ms == MINUTE - 1


def test_slippage_never_goes_through_the_limit() -> None:
    terms = PaperTerms(costs=Costs(fee=0.0, slippage=0.01), frictions=Frictions())
    assert paper_fills(limit("100.2"), Decimal(0), bars(FLAT), terms)[0].price == Decimal("100.2")
    assert paper_fills(limit("99.9", "sell"), Decimal(0), bars(FLAT), terms)[0].price == Decimal("99.9")


@pytest.mark.parametrize(("side", "price"), [("buy", "100.5"), ("sell", "99.5")])
def test_fill_is_on_the_worse_tick(side, price) -> None:
    terms = PaperTerms(costs=Costs(fee=0.0, slippage=0.001), frictions=Frictions(tick_size=0.5))
    (fill,) = paper_fills(replace(MARKET, side=side), Decimal(0), bars(FLAT), terms)
    assert fill.price == Decimal(price)


def test_fill_is_of_whole_lots() -> None:
    frictions = Frictions(impact=SquareRootImpact(participation=0.013), lot_size=0.1)
    fills = paper_fills(MARKET, Decimal(0), bars(*[FLAT] * 20), PaperTerms(frictions=frictions))
    assert sum(fill.quantity for fill in fills) == 2
    assert all(fill.quantity % Decimal("0.1") == 0 for fill in fills)


@pytest.mark.parametrize(
    ("order", "frictions", "reason"),
    [
        (replace(MARKET, quantity=Decimal("0.15")), Frictions(lot_size=0.1), "lot size 0.1, was 0.15"),
        (limit("99.3"), Frictions(tick_size=0.5), "tick size 0.5, was 99.3"),
        (MARKET, Frictions(minimum_notional=200.01), "at least 200.01, was 200"),
        (limit("50"), Frictions(minimum_notional=101.0), "at least 101, was 100"),
        (MARKET, Frictions(lot_size=0.1, tick_size=0.5, minimum_notional=200.0), None),
    ],
)
def test_exchange_refuses_what_its_rules_forbid(order, frictions, reason) -> None:
    found = refusal(order, 100.0, PaperTerms(frictions=frictions))
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_fee_is_that_of_the_highest_tier_reached() -> None:
    tiers = (FeeTier(volume=100.0, fee=0.002), FeeTier(volume=1000.0, fee=0.001))
    assert [tier_fee(0.003, tiers, volume) for volume in (99.0, 100.0, 5000.0)] == [0.003, 0.002, 0.001]


def test_seed_and_order_decide_what_a_bar_gives() -> None:
    many = bars(*[FLAT] * 30)
    terms = PaperTerms(frictions=Frictions(impact=SquareRootImpact(participation=0.01)))
    first = paper_fills(MARKET, Decimal(0), many, terms)
    assert paper_fills(MARKET, Decimal(0), many, terms) == first
    assert [one.quantity for one in paper_fills(MARKET, Decimal(0), many, replace(terms, seed=1))] != [
        one.quantity for one in first
    ]
    assert [one.quantity for one in paper_fills(replace(MARKET, order_id="o2"), Decimal(0), many, terms)] != [
        one.quantity for one in first
    ]


candle = st.tuples(st.floats(50, 150), st.floats(50, 150), st.floats(50, 150), st.floats(0, 100)).map(
    lambda row: (row[0], max(row[:3]), min(row[:3]), row[1], row[3])
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(candle, max_size=12),
    quantity=st.integers(1, 10**6),
    price=st.integers(60, 140) | st.none(),
    side=st.sampled_from(["buy", "sell"]),
)
def test_bars_one_by_one_fill_as_all_at_once_and_never_too_much(rows, quantity, price, side) -> None:
    order = Order(
        order_id="o", account_id="paper", symbol="BTC/USD", side=side, quantity=Decimal(quantity).scaleb(-4),
        kind="market" if price is None else "limit", limit_price=None if price is None else Decimal(price),
    )  # fmt: skip
    all_bars = bars(*rows)
    at_once = paper_fills(order, Decimal(0), all_bars, PaperTerms())
    singly = []
    for bar in range(len(rows)):
        filled = sum((fill.quantity for fill in singly), Decimal(0))
        singly += paper_fills(order, filled, all_bars.slice(bar, bar + 1), PaperTerms())
    assert singly == at_once
    assert sum(fill.quantity for fill in at_once) <= order.quantity
    if price is not None:
        assert all((fill.price <= price) if side == "buy" else (fill.price >= price) for fill in at_once)
