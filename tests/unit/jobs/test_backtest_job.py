"""What the backtest job makes of its options, without servers."""

from __future__ import annotations

import pytest

from alpharay.bus.messages import BacktestRequest
from ray_jobs.backtest import identified, parsed_parameters


def request(**changes: object) -> BacktestRequest:
    fields = {
        "request_id": "", "exchange": "simulated", "symbol": "BTC/USD", "timeframe": "1d", "start_time": 0,
        "end_time": 86_400_000, "strategy_name": "SMA_RSI", **changes,
    }  # fmt: skip
    return BacktestRequest(**fields)


def test_parameters_are_read_by_name():
    assert parsed_parameters("fast=12, slow = 26.5,") == {"fast": 12.0, "slow": 26.5}
    assert parsed_parameters("") == {}


@pytest.mark.parametrize("text", ["fast", "fast=", "fast=x", "=3,fast"])
def test_what_is_no_name_and_number_is_refused(text: str):
    with pytest.raises(ValueError, match="name=number"):
        parsed_parameters(text)


def test_the_id_follows_from_what_is_asked_for():
    assert identified(request()).request_id == identified(request()).request_id
    ids = {
        identified(request(**changes)).request_id
        for changes in ({}, {"fee": 0.002}, {"stop_loss": 0.1}, {"parameters": {"rsi_length": 7.0}})
    }
    assert len(ids) == 4
    assert identified(request(request_id="mine")).request_id == "mine"
