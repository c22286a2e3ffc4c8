"""How much a trade gets by each method that was asked for, and why; nothing is read or stored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from alpharay.portfolio.risk_parity import risk_parity_weights
from alpharay.portfolio.sizing import (
    Sizing,
    TradeRecord,
    blended,
    fixed_fraction,
    fractional_kelly,
    volatility_target,
)
from alpharay.signals.refusal import refuse
from serve_apps.portfolio_requests import RecordBody, RiskParityBody, SizeMethods, SizeRequest, read_symbol


def sized(asked: SizeRequest, default_quote: str) -> dict[str, Any]:
    """Return the answer of `POST /size`; raises RefusedError for numbers that fit no formula."""
    sizes = {name: described_size(size, asked.equity) for name, size in sizes_by(asked.methods).items()}
    answer: dict[str, Any] = {"sizes": sizes}
    if asked.risk_parity is not None:
        answer["risk_parity"] = _parity(asked.risk_parity, asked.equity, default_quote)
    return answer


def sizes_by(methods: SizeMethods) -> dict[str, Sizing]:
    """Return the size by each method that is given; raises RefusedError."""
    made: dict[str, Sizing] = {}
    if (fixed := methods.fixed_fraction) is not None:
        made["fixed_fraction"] = _made(
            "fixed_fraction",
            lambda: fixed_fraction(risk=fixed.risk, stop_distance=fixed.stop_distance, maximum=fixed.maximum),
        )
    if (kelly := methods.fractional_kelly) is not None:
        made["fractional_kelly"] = _made(
            "fractional_kelly",
            lambda: fractional_kelly(_record(kelly.record), fraction=kelly.fraction, maximum=kelly.maximum),
        )
    if (target := methods.volatility_target) is not None:
        made["volatility_target"] = _made(
            "volatility_target",
            lambda: volatility_target(target=target.target, volatility=target.volatility, maximum=target.maximum),
        )
    if (blend := methods.blended) is not None:
        made["blended"] = _made(
            "blended",
            lambda: blended(
                _record(blend.record),
                confidence=blend.confidence,
                volatility=blend.volatility,
                risk_budget=blend.risk_budget,
                kelly_fraction=blend.kelly_fraction,
                maximum=blend.maximum,
            ),
        )
    return made


def described_size(size: Sizing, equity: float | None = None) -> dict[str, Any]:
    """Return a size with what went in, what decided, and its parts; with `equity` in money too."""
    described: dict[str, Any] = {
        "method": size.method,
        "fraction": size.fraction,
        "binding": size.binding,
        "explanation": size.explanation,
        "inputs": size.inputs,
        "parts": [{"weight": weight, **described_size(part)} for weight, part in size.parts],
    }
    if equity is not None:
        described["notional"] = size.fraction * equity
    return described


def _parity(asked: RiskParityBody, equity: float | None, default_quote: str) -> dict[str, Any]:
    symbols = [read_symbol(one, "risk_parity.symbols", default_quote) for one in asked.symbols]
    if len(set(symbols)) < len(symbols):
        raise refuse(
            "invalid_field",
            "risk_parity.symbols must name each symbol once",
            field="risk_parity.symbols",
            value=asked.symbols,
        )
    if len(asked.covariance) != len(symbols) or any(len(row) != len(symbols) for row in asked.covariance):
        raise refuse(
            "invalid_field",
            f"risk_parity.covariance must have {len(symbols)} rows of {len(symbols)} numbers, one for each symbol",
            field="risk_parity.covariance",
            value=asked.covariance,
        )
    covariance = np.asarray(asked.covariance)
    try:
        weights = risk_parity_weights(covariance, asked.budgets)
    except ValueError as error:
        raise refuse("invalid_field", str(error), field="risk_parity", value=asked.covariance) from None
    risks = weights * (covariance @ weights)
    if not np.isfinite(weights).all() or not risks.sum() > 0.0:
        raise refuse(
            "invalid_field",
            "risk_parity.covariance must have variances that can be told from 0",
            field="risk_parity.covariance",
            value=asked.covariance,
        )
    shares = risks / risks.sum()
    answer: dict[str, Any] = {
        "weights": dict(zip(symbols, weights.tolist(), strict=True)),
        "risk_shares": dict(zip(symbols, shares.tolist(), strict=True)),
        "explanation": "weights that sum to 1, at which each symbol carries its budget of the portfolio's variance",
    }
    if equity is not None:
        answer["notional"] = dict(zip(symbols, (weights * equity).tolist(), strict=True))
    return answer


def _record(record: RecordBody) -> TradeRecord:
    return TradeRecord(
        wins=record.wins, losses=record.losses, average_win=record.average_win, average_loss=record.average_loss
    )


def _made(name: str, size: Callable[[], Sizing]) -> Sizing:
    """Return a size, or refuse numbers so small or so far apart that their quotient is none."""
    field = f"methods.{name}"
    try:
        made = size()
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise refuse("invalid_field", f"{field}: {error}", field=field) from None
    if not math.isfinite(made.fraction):
        raise refuse(
            "invalid_field", f"{field}: the numbers are too far apart, the size was {made.fraction}", field=field
        )
    return made
