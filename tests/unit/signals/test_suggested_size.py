from __future__ import annotations

import math

import pytest

from alpharay.portfolio.sizing import TradeRecord, blended
from alpharay.signals.decision import Decision
from alpharay.signals.suggested_size import suggested_size, trade_record

BUY = Decision("BUY", 0.4, "")


def test_the_size_is_the_portfolio_blend_at_the_decision_s_confidence() -> None:
    record = TradeRecord(wins=60, losses=40, average_win=1.5, average_loss=1.0)
    made = suggested_size(BUY, 0.6, record)
    assert made.sizing == blended(record, confidence=0.4, volatility=0.6, maximum=1.0)
    assert made.fraction == made.sizing.fraction
    assert 0.0 < made.fraction <= 1.0
    assert made.opinion.flags == ()


def test_more_confidence_is_more_and_more_volatility_is_less() -> None:
    assert suggested_size(Decision("SELL", 0.8, ""), 0.6, None).fraction > suggested_size(BUY, 0.6, None).fraction
    assert suggested_size(BUY, 1.2, None).fraction < suggested_size(BUY, 0.6, None).fraction


def test_without_a_record_its_part_is_missing_and_flagged() -> None:
    made = suggested_size(BUY, 0.6, None)
    assert made.opinion.flags == ("degraded", "no_trade_record")
    assert made.fraction == pytest.approx(0.3 * 0.005 / 0.6 + 0.3 * 0.4 / 1.6)


def test_hold_and_a_market_without_volatility_have_no_size() -> None:
    for decision, volatility in ((Decision("HOLD", 0.9, ""), 0.5), (BUY, None)):
        made = suggested_size(decision, volatility, None)
        assert (made.fraction, made.opinion.abstains, made.sizing) == (0.0, True, None)


def test_a_tiny_volatility_never_borrows() -> None:
    assert suggested_size(Decision("BUY", 1.0, ""), 1e-300, None).fraction <= 1.0


def test_a_record_is_read_from_metrics() -> None:
    record = trade_record({"trades": 50.0, "win_rate": 0.4, "profit_factor": 1.2})
    assert record == TradeRecord(wins=20, losses=30, average_win=1.2 * 30 / 20, average_loss=1.0)
    gains, losses = record.wins * record.average_win, record.losses * record.average_loss
    assert gains / losses == pytest.approx(1.2)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"trades": 10.0, "win_rate": None, "profit_factor": 1.0},
        {"trades": 10.0, "win_rate": 0.5, "profit_factor": math.inf},
        {"trades": 10.0, "win_rate": 1.0, "profit_factor": 1.0},
        {"trades": 10.0, "win_rate": 0.0, "profit_factor": 0.0},
        {"trades": 0.0, "win_rate": 0.0, "profit_factor": 0.0},
        {"trades": math.nan, "win_rate": 0.5, "profit_factor": 1.0},
    ],
)
def test_metrics_that_tell_no_payoff_are_no_record(metrics: dict[str, float | None]) -> None:
    assert trade_record(metrics) is None
