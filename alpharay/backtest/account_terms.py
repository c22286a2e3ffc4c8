"""Costs, frictions and stops of several markets as the shared account takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.holdings import StopLevels
from alpharay.backtest.pool_tables import PoolTables
from alpharay.backtest.stops import Stops
from alpharay.backtest.walk import stop_levels_of
from alpharay.market.candles import FloatArray

HOUR_MS = 3_600_000


class Terms(NamedTuple):
    """Costs and frictions as the compiled code takes them; zero is off."""

    slippage: float
    fee: float
    starting_capital: float
    tiers: FloatArray
    """(tiers, 2): volume and fee."""
    frictions: FloatArray
    """(markets, 7)."""


# The columns of `Terms.frictions`; funding is the share of the position's value a millisecond.
IMPACT, PARTICIPATION, TICK, LOT, MINIMUM_NOTIONAL, LONG_FUNDING, SHORT_FUNDING = range(7)


def terms_of(costs: Costs, frictions: Sequence[Frictions | None], tables: PoolTables) -> Terms:
    """Return the kernel's view of costs and frictions, one of these for each market.

    Raises ValueError when their number differs from the markets', when they do not agree on what belongs to the whole
    account, or when a tick is larger than a price.
    """
    if len(frictions) != len(tables.markets):
        raise ValueError(
            f"frictions must be one, or one for each of the {len(tables.markets)} markets, was {len(frictions)}"
        )
    first = frictions[0]
    for one, market in zip(frictions, tables.markets, strict=True):
        if (one is None) != (first is None):
            raise ValueError("frictions must be given for every market or for none, was None for some")
        if one is None or first is None:
            continue
        for name in ("starting_capital", "fee_tiers"):
            if getattr(one, name) != getattr(first, name):
                raise ValueError(f"{name} must be the same for all markets, was {getattr(one, name)} for one of them")
        lowest = float(market.candles.low.min(initial=np.inf))
        if one.tick_size is not None and one.tick_size > lowest:
            raise ValueError(
                f"tick_size must be at most the lowest price {lowest} of {market.candles.symbol}, was {one.tick_size}"
            )
    given = [one if one is not None else Frictions(starting_capital=1.0) for one in frictions]
    return Terms(
        slippage=costs.slippage,
        fee=costs.fee,
        starting_capital=given[0].starting_capital,
        tiers=np.array([(tier.volume, tier.fee) for tier in given[0].fee_tiers], dtype=np.float64).reshape(-1, 2),
        frictions=np.array([_friction_row(one) for one in given]),
    )


def _friction_row(frictions: Frictions) -> tuple[float, ...]:
    impact, funding = frictions.impact, frictions.funding
    period = funding.hours * HOUR_MS if funding else 1.0
    return (
        impact.coefficient if impact else 0.0,
        impact.participation if impact else 0.0,
        frictions.tick_size or 0.0,
        frictions.lot_size or 0.0,
        frictions.minimum_notional or 0.0,
        funding.long / period if funding else 0.0,
        funding.short / period if funding else 0.0,
    )


def pool_stop_levels(stops: Stops, tables: PoolTables) -> StopLevels:
    """Return the kernel's view of `stops`, the distances of an ATR trail of all markets one after the other."""
    levels = [stop_levels_of(stops, market.candles, both_sides=True) for market in tables.markets]
    known = [one for one in levels if one is not None]
    return known[0]._replace(trail_distance=np.concatenate([one.trail_distance for one in known]))
