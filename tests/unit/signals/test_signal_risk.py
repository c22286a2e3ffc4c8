"""What risk says of a signal: halts veto, limits veto or reduce, and what is not known is flagged."""

from __future__ import annotations

import pytest

from alpharay.risk.limits import OpeningHalt, PortfolioState, RiskLimits
from alpharay.signals.decision import Action
from alpharay.signals.trading_state import NO_PORTFOLIO, REDUCED, UNKNOWN, TradingState, risk_ruling

RICH = PortfolioState(equity=1_000.0, day_start_equity=1_000.0, peak_equity=1_000.0)


def state(**changes: object) -> TradingState:
    fields: dict[str, object] = {"account": "paper", "limits": RiskLimits(), "portfolio": RICH, **changes}
    return TradingState(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", ["BUY", "SELL", "HOLD"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_halt_vetoes_whatever_is_asked_and_stays_in_force_when_it_is_old(action: Action, fresh: bool) -> None:
    ruling = risk_ruling(state(halts=("all accounts are halted",)), "SOL/USD", action, 0.1, fresh=fresh)
    assert ruling.opinion.vetoes
    assert ruling.fraction == 0.0
    assert "all accounts are halted" in ruling.opinion.why
    assert (UNKNOWN in ruling.opinion.flags) is not fresh


def test_a_trade_within_all_limits_is_allowed_whole() -> None:
    ruling = risk_ruling(state(), "SOL/USD", "BUY", 0.1)
    assert (ruling.fraction, ruling.opinion.flags, ruling.opinion.confidence) == (0.1, (), 1.0)


def test_a_limit_that_allows_a_part_reduces_the_size() -> None:
    ruling = risk_ruling(state(), "SOL/USD", "BUY", 0.5)
    assert ruling.fraction == pytest.approx(0.2)
    assert ruling.opinion.flags == (REDUCED,)
    assert "position may be 200.00" in ruling.opinion.why


def test_a_loss_beyond_its_limit_vetoes_what_opens_and_lets_what_reduces_pass() -> None:
    losing = PortfolioState(equity=900.0, day_start_equity=1_000.0, peak_equity=1_000.0, positions={"SOL/USD": 100.0})
    opening = risk_ruling(state(portfolio=losing), "SOL/USD", "BUY", 0.1)
    assert opening.opinion.vetoes
    assert "daily loss is 10.00%" in opening.opinion.why
    closing = risk_ruling(state(portfolio=losing), "SOL/USD", "SELL", 0.1)
    assert closing.opinion.flags == ()
    assert closing.fraction == 0.1


def test_an_open_breaker_vetoes_what_opens_and_lets_a_position_be_left() -> None:
    halted = state(opening=OpeningHalt("stopped by the circuit breaker"))
    assert risk_ruling(halted, "SOL/USD", "BUY", 0.1).opinion.vetoes
    held = PortfolioState(equity=1_000.0, day_start_equity=1_000.0, peak_equity=1_000.0, positions={"SOL/USD": 500.0})
    leaving = risk_ruling(state(opening=OpeningHalt("stopped"), portfolio=held), "SOL/USD", "SELL", 0.2)
    assert (leaving.fraction, leaving.opinion.vetoes) == (0.2, False)


def test_a_breaker_on_trial_reduces() -> None:
    trial = state(opening=OpeningHalt("half-open", 0.25))
    assert risk_ruling(trial, "SOL/USD", "BUY", 0.1).fraction == pytest.approx(0.025)
    blind = state(opening=OpeningHalt("half-open", 0.25), portfolio=None)
    assert risk_ruling(blind, "SOL/USD", "BUY", 0.1).fraction == pytest.approx(0.025)


@pytest.mark.parametrize("missing", ["limits", "portfolio"])
def test_without_positions_only_halts_are_asked_and_that_is_flagged(missing: str) -> None:
    ruling = risk_ruling(state(**{missing: None}), "SOL/USD", "BUY", 0.9)
    assert ruling.fraction == 0.9
    assert ruling.opinion.flags == ("degraded", NO_PORTFOLIO)
    halted = state(**{missing: None}, opening=OpeningHalt("stopped"))
    for action in ("BUY", "SELL"):
        assert risk_ruling(halted, "SOL/USD", action, 0.1).opinion.vetoes
    assert not risk_ruling(halted, "SOL/USD", "HOLD", 0.0).opinion.vetoes


def test_a_state_that_is_too_old_and_knew_no_halt_abstains_and_says_so() -> None:
    ruling = risk_ruling(state(), "SOL/USD", "BUY", 0.1, fresh=False)
    assert ruling.opinion.abstains
    assert {"degraded", UNKNOWN} <= set(ruling.opinion.flags)
    assert (ruling.fraction, ruling.opinion.confidence) == (0.1, 0.0)


def test_hold_has_no_trade_to_hold_against_limits() -> None:
    ruling = risk_ruling(state(), "SOL/USD", "HOLD", 0.0)
    assert (ruling.fraction, ruling.opinion.flags) == (0.0, ())
    broke = PortfolioState(equity=0.0, day_start_equity=0.0, peak_equity=0.0)
    assert not risk_ruling(state(portfolio=broke), "SOL/USD", "BUY", 0.5).opinion.vetoes
