"""Limits: by hand, and as properties over generated portfolios."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpharay.risk.limits import OpeningHalt, PortfolioState, ProposedTrade, RiskLimits, assess

LIMITS = RiskLimits(
    position=0.2, concentration=0.3, gross=1.0, net=0.5, daily_loss=0.05, drawdown=0.1, orders_per_second=3
)


def portfolio(positions: dict[str, float] | None = None, **fields: object) -> PortfolioState:
    return PortfolioState(
        **{
            "equity": 1_000.0,
            "day_start_equity": 1_000.0,
            "peak_equity": 1_000.0,
            "positions": positions or {},
            **fields,
        }
    )


def answer(state: PortfolioState, symbol: str, notional: float, minimum: float = 0.0) -> tuple[str, float, list[str]]:
    found = assess(LIMITS, state, ProposedTrade(symbol=symbol, notional=notional, minimum_notional=minimum))
    return found.decision, round(found.notional, 6), [check.limit for check in found.binding]


def test_trade_within_all_limits_is_allowed_whole() -> None:
    assert answer(portfolio(), "BTC/USD", 200.0) == ("allowed", 200.0, [])
    assert answer(portfolio(), "BTC/USD", -200.0) == ("allowed", -200.0, [])


def test_position_limit_reduces_to_its_headroom() -> None:
    found = assess(LIMITS, portfolio({"BTC/USD": 150.0}), ProposedTrade(symbol="BTC/USD", notional=80.0))
    assert (found.decision, found.notional) == ("reduced", 50.0)
    (check,) = found.binding
    assert (check.limit, check.maximum, check.used, check.headroom) == ("position", 200.0, 150.0, 50.0)
    assert found.reasons == ("position may be 200.00 (0.2 of equity), 150.00 is used: 50.00 of 80.00 is allowed",)


def test_symbols_of_a_group_share_its_limit() -> None:
    groups = {"BTC/USD": "majors", "ETH/USD": "majors"}
    state = portfolio({"BTC/USD": 200.0}, groups=groups)
    assert answer(state, "ETH/USD", 200.0) == ("reduced", 100.0, ["concentration"])
    assert answer(state, "SOL/USD", 200.0) == ("allowed", 200.0, [])
    assert answer(portfolio({"BTC/USD": -200.0}, groups=groups), "ETH/USD", 200.0)[1] == 100.0


def test_net_limit_stops_one_side_and_gross_limit_both() -> None:
    long = portfolio({"A/USD": 180.0, "B/USD": 180.0, "C/USD": 100.0})
    assert answer(long, "D/USD", 100.0) == ("reduced", 40.0, ["net"])
    assert answer(long, "D/USD", -100.0)[0] == "allowed"
    full = portfolio({"A/USD": 200.0, "B/USD": -200.0, "C/USD": 200.0, "D/USD": -200.0, "E/USD": 170.0})
    assert answer(full, "F/USD", -100.0) == ("reduced", -30.0, ["gross"])
    assert answer(full, "F/USD", 100.0) == ("reduced", 30.0, ["gross"])


def test_orders_under_way_count_as_filled_at_their_worst() -> None:
    assert answer(portfolio(open_buys={"BTC/USD": 150.0}), "BTC/USD", 100.0) == ("reduced", 50.0, ["position"])
    # Those buys may never fill, so they make no room for a sale.
    assert answer(portfolio(open_buys={"BTC/USD": 150.0}), "BTC/USD", -300.0) == ("reduced", -200.0, ["position"])
    both = portfolio({"BTC/USD": 100.0}, open_buys={"BTC/USD": 60.0}, open_sells={"BTC/USD": 90.0})
    assert answer(both, "BTC/USD", 100.0) == ("reduced", 40.0, ["position"])


def test_orders_under_way_in_other_symbols_count_too() -> None:
    groups = {"BTC/USD": "majors", "ETH/USD": "majors"}
    short = portfolio({"BTC/USD": -100.0}, open_sells={"BTC/USD": 90.0}, open_buys={"BTC/USD": 30.0}, groups=groups)
    assert answer(short, "ETH/USD", 200.0) == ("reduced", 110.0, ["concentration"])
    long = portfolio({"BTC/USD": 100.0}, open_sells={"BTC/USD": 30.0}, open_buys={"BTC/USD": 90.0}, groups=groups)
    assert answer(long, "ETH/USD", -200.0) == ("reduced", -110.0, ["concentration"])


def test_losses_stop_what_opens_and_never_what_closes() -> None:
    for state in (
        portfolio({"BTC/USD": 100.0}, equity=950.0),
        portfolio({"BTC/USD": 100.0}, equity=950.0, day_start_equity=950.0, peak_equity=1_100.0),
        portfolio({"BTC/USD": 100.0}, equity=-5.0),
        portfolio({"BTC/USD": 100.0}, equity=0.0, day_start_equity=0.0, peak_equity=0.0),
    ):
        assert answer(state, "BTC/USD", 10.0)[:2] == ("refused", 0.0)
        assert answer(state, "BTC/USD", -100.0) == ("allowed", -100.0, [])
        assert answer(state, "BTC/USD", -130.0)[:2] == ("reduced", -100.0)
    found = assess(LIMITS, portfolio(equity=940.0), ProposedTrade(symbol="A/USD", notional=1.0))
    assert "daily loss is 6.00%, nothing is opened from 5.00% on" in found.reasons


def test_position_that_outgrew_its_limit_may_shrink_and_not_grow() -> None:
    state = portfolio({"BTC/USD": 260.0})
    assert answer(state, "BTC/USD", 10.0)[0] == "refused"
    assert answer(state, "BTC/USD", -30.0) == ("allowed", -30.0, [])
    # As far as flat: a short on top would be opened while the limit is passed.
    assert answer(state, "BTC/USD", -400.0)[:2] == ("reduced", -260.0)


def test_position_at_its_limit_may_turn_round_completely() -> None:
    assert answer(portfolio({"BTC/USD": 200.0}), "BTC/USD", -500.0) == ("reduced", -400.0, ["position"])


def test_covering_a_short_is_allowed_when_the_net_limit_is_full() -> None:
    state = portfolio({"A/USD": 400.0, "B/USD": 200.0, "C/USD": -90.0})
    assert answer(state, "C/USD", 90.0) == ("allowed", 90.0, [])
    assert answer(state, "C/USD", 120.0) == ("reduced", 90.0, ["net"])


def test_rate_of_orders_stops_everything_for_a_moment() -> None:
    state = portfolio({"BTC/USD": 100.0}, orders_last_second=3)
    assert answer(state, "BTC/USD", -100.0) == ("refused", 0.0, ["orders_per_second"])
    assert answer(portfolio(orders_last_second=2), "BTC/USD", 100.0)[0] == "allowed"


def test_what_is_left_below_the_smallest_order_is_refused_but_an_exit_is_not() -> None:
    assert answer(portfolio({"BTC/USD": 195.0}), "BTC/USD", 50.0, minimum=10.0) == (
        "refused",
        0.0,
        ["minimum_notional"],
    )
    assert answer(portfolio({"BTC/USD": 5.0}), "BTC/USD", -5.0, minimum=10.0) == ("allowed", -5.0, [])
    assert answer(portfolio(), "BTC/USD", 5.0, minimum=10.0)[0] == "refused"


def test_no_limits_allow_anything_and_zero_limits_nothing() -> None:
    free = RiskLimits(
        position=None, concentration=None, gross=None, net=None, daily_loss=None, drawdown=None, orders_per_second=None
    )
    trade = ProposedTrade(symbol="A/USD", notional=1e9)
    assert assess(free, portfolio(), trade).decision == "allowed"
    assert assess(RiskLimits(gross=0.0), portfolio(), trade).decision == "refused"
    loose = RiskLimits(position=None, concentration=None, gross=None, net=None, daily_loss=1.0, drawdown=1.0)
    assert assess(loose, portfolio(equity=1.0), trade).decision == "allowed"


def test_values_that_are_no_amounts_are_refused() -> None:
    with pytest.raises(ValueError, match="notional of a trade must be finite and not 0, was nan"):
        ProposedTrade(symbol="A/USD", notional=math.nan)
    with pytest.raises(ValueError, match="notional"):
        ProposedTrade(symbol="A/USD", notional=0.0)
    with pytest.raises(ValueError, match="equity must be finite"):
        portfolio(equity=math.nan)
    with pytest.raises(ValueError, match="positions of A/USD"):
        portfolio({"A/USD": math.inf})
    with pytest.raises(ValueError, match="open_sells of A/USD"):
        portfolio(open_sells={"A/USD": -1.0})
    with pytest.raises(ValueError, match="daily_loss of the limits"):
        RiskLimits(daily_loss=0.0)
    with pytest.raises(ValueError, match="gross of the limits"):
        RiskLimits(gross=math.nan)
    with pytest.raises(ValueError, match="position of the limits"):
        RiskLimits(position=math.inf)


symbols = st.sampled_from(["A", "B", "C", "D"])
amounts = st.integers(-40, 40).map(lambda value: value * 10.0)
sizes = st.integers(0, 20).map(lambda value: value * 10.0)
states = st.builds(
    lambda equity, positions, buys, sells: portfolio(
        positions, equity=equity, open_buys=buys, open_sells=sells, groups={"A": "one", "B": "one"}
    ),
    st.sampled_from([930.0, 960.0, 1_000.0, 1_400.0]),
    st.dictionaries(symbols, amounts),
    st.dictionaries(symbols, sizes),
    st.dictionaries(symbols, sizes),
)
trades = st.builds(
    lambda symbol, notional: ProposedTrade(symbol=symbol, notional=notional), symbols, amounts.filter(bool)
)


def measures(state: PortfolioState) -> dict[str, float]:
    """Return what each limit bounds, written anew: the worst over which orders fill."""
    names = sorted(state.symbols)
    high = {s: state.positions.get(s, 0.0) + state.open_buys.get(s, 0.0) for s in names}
    low = {s: state.positions.get(s, 0.0) - state.open_sells.get(s, 0.0) for s in names}
    worst = {s: max(abs(high[s]), abs(low[s])) for s in names}
    held = sum(state.positions.values())
    return {
        **{f"position {s}": worst[s] / 0.2 for s in names},
        "group": sum(worst.get(s, 0.0) for s in "AB") / 0.3,
        "gross": sum(worst.values()),
        "long": (held + sum(state.open_buys.values())) / 0.5,
        "short": (-held + sum(state.open_sells.values())) / 0.5,
    }


@given(state=states, trade=trades)
@settings(max_examples=400, deadline=None)
def test_what_is_allowed_breaks_no_limit_that_was_kept(state: PortfolioState, trade: ProposedTrade) -> None:
    found = assess(LIMITS, state, trade)
    assert abs(found.notional) <= abs(trade.notional)
    assert found.notional * trade.notional >= 0.0
    orders = {"open_buys": dict(state.open_buys), "open_sells": dict(state.open_sells)}
    side = "open_buys" if trade.notional > 0 else "open_sells"
    orders[side][trade.symbol] = orders[side].get(trade.symbol, 0.0) + abs(found.notional)
    after = portfolio(dict(state.positions), equity=state.equity, groups=dict(state.groups), **orders)
    held = state.positions.get(trade.symbol, 0.0)
    closes = held * trade.notional < 0 and abs(found.notional) + orders_of(state, side, trade.symbol) <= abs(held)
    before = measures(state)
    for name, used in measures(after).items():
        kept = used <= state.equity + 1e-6 or used <= before.get(name, 0.0) + 1e-6
        # Only a trade towards flat may pass the net limit.
        assert kept or (closes and name in {"long", "short"})


def orders_of(state: PortfolioState, side: str, symbol: str) -> float:
    return getattr(state, side).get(symbol, 0.0)


@given(state=states, trade=trades)
@settings(max_examples=200, deadline=None)
def test_position_without_orders_under_way_can_always_be_closed(state: PortfolioState, trade: ProposedTrade) -> None:
    held = state.positions.get(trade.symbol, 0.0)
    alone = portfolio(dict(state.positions), equity=state.equity, groups=dict(state.groups))
    if held != 0.0:
        close = ProposedTrade(symbol=trade.symbol, notional=-held)
        assert assess(LIMITS, alone, close).decision == "allowed"


@given(state=states, trade=trades)
@settings(max_examples=200, deadline=None)
def test_what_was_allowed_is_allowed_whole_when_asked_again(state: PortfolioState, trade: ProposedTrade) -> None:
    found = assess(LIMITS, state, trade)
    if found.notional != 0.0:
        again = assess(LIMITS, state, ProposedTrade(symbol=trade.symbol, notional=found.notional))
        assert again.decision == "allowed"
    else:
        assert found.binding


@given(
    held=st.floats(-300.0, 300.0),
    under_way=st.floats(0.0, 300.0),
    notional=st.floats(-500.0, 500.0).filter(lambda value: abs(value) > 1e-6),
    share=st.sampled_from([0.0, 0.25]),
)
@settings(max_examples=300, deadline=None)
def test_a_halt_passes_what_reduces_and_a_share_of_the_rest(
    held: float, under_way: float, notional: float, share: float
) -> None:
    free = RiskLimits(
        position=None, concentration=None, gross=None, net=None, daily_loss=None, drawdown=None, orders_per_second=None
    )
    sells = {"BTC/USD": under_way} if notional < 0.0 else {}
    buys = {"BTC/USD": under_way} if notional > 0.0 else {}
    state = portfolio({"BTC/USD": held}, open_buys=buys, open_sells=sells)
    trade = ProposedTrade(symbol="BTC/USD", notional=notional)
    made = assess(free, state, trade, OpeningHalt("halted", share))
    assert assess(free, state, trade).decision == "allowed"
    # What the orders under way leave of the position, on the side that the trade closes.
    left = max((held if notional < 0.0 else -held) - under_way, 0.0)
    reducing = min(left, abs(notional))
    assert abs(made.notional) == pytest.approx(reducing + share * (abs(notional) - reducing), abs=1e-9)
    if share == 0.0:
        assert abs(held + made.notional) <= abs(held) + 1e-9
    assert (made.decision == "allowed") == (made.reasons == ())


def test_a_halt_says_why_and_what_is_left() -> None:
    halt = OpeningHalt("account 'paper' is stopped")
    found = assess(LIMITS, portfolio({"BTC/USD": 100.0}), ProposedTrade(symbol="BTC/USD", notional=-150.0), halt)
    assert (found.decision, found.notional) == ("reduced", -100.0)
    assert [check.limit for check in found.binding] == ["halt"]
    assert found.reasons == ("account 'paper' is stopped: 100.00 of 150.00 is allowed",)
    with pytest.raises(ValueError, match="share of a halt"):
        OpeningHalt("x", 1.0)
