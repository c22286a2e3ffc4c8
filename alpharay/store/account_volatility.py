"""How restless the markets of an account are: the volatility that is expected next, over its long-run level."""

from __future__ import annotations

import math
from collections.abc import Collection

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.models.volatility import FittedVolatility
from alpharay.risk.calibration import price_history, volatility_now
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_newest_candles
from alpharay.store.risk_models import load_models, model_times

CANDLES = 1_000
"""With so many candles after its fit a state has forgotten what it began with."""


def highest_volatility(connection: Connection[TupleRow], exchange: str, symbols: Collection[str]) -> float | None:
    """Return the highest ratio of expected to long-run volatility among the fitted models of `symbols`, up to now.

    None where no model has a long-run level: an integrated or a fallback model has none.
    """
    wanted = [
        key
        for key in model_times(connection)
        if key.kind == "volatility" and key.exchange == exchange and key.symbol in symbols
    ]
    ratios = []
    for model in load_models(connection, wanted)[0] if wanted else ():
        assert isinstance(model.state, FittedVolatility), "the key says volatility"
        market = Market(exchange, model.key.symbol, model.key.timeframe)
        try:
            history = price_history(load_newest_candles(connection, market, CANDLES))
        except ValueError:
            # A close that is none: whoever reads prices tells it.
            continue
        now = volatility_now(model.state, model.decided_at, history)
        if now.long_run_variance:
            ratios.append(math.sqrt(now.next_variance / now.long_run_variance))
    return max(ratios, default=None)
