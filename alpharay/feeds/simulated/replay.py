"""What the simulated exchange knows at a moment: markets, and their candles up to now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from alpharay.market.candles import Candles
from alpharay.market.resampling import resample
from alpharay.market.timeframe import open_time_at, timeframe_ms

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d")
"""Binance's intervals that are whole numbers of minutes and aligned to the epoch (not 1s, 1w, 1M)."""

HISTORY_MARGIN = 60
"""How many candles of the newest market are still to come when a replay starts, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Market:
    """One replayed market; `identifier` is the exchange's own name for it, such as BTCUSD."""

    identifier: str
    base: str
    quote: str
    candles: Candles


class Replay:
    """Candle files as markets; coarser time frames are made on first use and kept."""

    def __init__(self, sources: Iterable[Candles]) -> None:
        self.markets: dict[str, Market] = {}
        for candles in sources:
            market = _market(candles)
            if market.identifier in self.markets:
                raise ValueError(f"symbol {candles.symbol} is given twice (both are {market.identifier} here)")
            self.markets[market.identifier] = market
        if not self.markets:
            raise ValueError("a replay needs at least one market with candles")
        self._coarser: dict[tuple[str, str], Candles] = {}

    def start_ms(self) -> int:
        """Return the default start: `HISTORY_MARGIN` candles before the end of the newest market."""
        newest = max((market.candles for market in self.markets.values()), key=_end_ms)
        return int(newest.open_time[max(len(newest) - HISTORY_MARGIN, 0)])

    def end_ms(self) -> int:
        """Return when the last candle of all markets closes."""
        return max(_end_ms(market.candles) for market in self.markets.values())

    def intervals(self, market: Market) -> tuple[str, ...]:
        """Return the intervals that can be shown for a market: its own and the coarser ones made of it."""
        source = timeframe_ms(market.candles.timeframe)
        return tuple(interval for interval in INTERVALS if timeframe_ms(interval) % source == 0)

    def candles(
        self,
        market: Market,
        interval: str,
        now_ms: int,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Candles:
        """Return at most `limit` candles that open in `[start_ms, end_ms]` and no later than now.

        They are the first from `start_ms` on, or the newest when it is None, as Binance chooses them. The
        newest candle may still be open. Of an open source candle only its open is known: it is shown as open
        = high = low = close with volume 0, so that a client which takes it for a closed one stores what is
        plainly wrong.
        """
        known = self._closed(market, interval, now_ms)
        current = _open_candle(market, interval, now_ms)
        last_open = int(current.open_time[0]) if len(current) else -1
        from_ms = start_ms if start_ms is not None else 0
        until_ms = now_ms if end_ms is None else end_ms
        rows = known.between(from_ms, until_ms + 1)
        shows_current = from_ms <= last_open <= until_ms
        if start_ms is not None:
            page = rows.slice(0, limit)
            return _joined(page, current) if shows_current and len(page) < limit else page
        return _joined(rows.tail(limit - 1), current) if shows_current else rows.tail(limit)

    def _closed(self, market: Market, interval: str, now_ms: int) -> Candles:
        """Return the candles of the interval that are over at `now_ms`."""
        key = (market.identifier, interval)
        if key not in self._coarser:
            source = market.candles
            length = timeframe_ms(interval)
            self._coarser[key] = resample(
                source,
                interval,
                known_from_ms=open_time_at(int(source.open_time[0]), interval),
                known_until_ms=open_time_at(_end_ms(source) + length - 1, interval),
            )
        return self._coarser[key].between(0, open_time_at(now_ms, interval))


def _market(candles: Candles) -> Market:
    base, separator, quote = candles.symbol.partition("/")
    if not separator or ":" in quote:
        raise ValueError(f"symbol must be a spot market such as BTC/USD, was {candles.symbol!r}")
    if len(candles) == 0:
        raise ValueError(f"there is no candle of {candles.symbol} to replay")
    if candles.timeframe not in INTERVALS:
        raise ValueError(
            f"timeframe of {candles.symbol} must be one of {', '.join(INTERVALS)}, was {candles.timeframe}"
        )
    return Market(base + quote, base, quote, candles)


def _end_ms(candles: Candles) -> int:
    return int(candles.open_time[-1]) + timeframe_ms(candles.timeframe)


def _open_candle(market: Market, interval: str, now_ms: int) -> Candles:
    """Return the candle that is still open at `now_ms`, made of what is known; empty when nothing is."""
    started = open_time_at(now_ms, interval)
    seen = market.candles.between(started, now_ms + 1)
    if len(seen) and _end_ms(seen) > now_ms:
        seen = _joined(seen.slice(0, len(seen) - 1), _flat(seen.tail(1)))
    return resample(seen, interval, known_from_ms=started, known_until_ms=started + timeframe_ms(interval))


def _flat(candles: Candles) -> Candles:
    """Return the candles as one sees them at their open."""
    price = candles.open
    return replace(candles, high=price, low=price, close=price, volume=np.zeros(len(candles)))


def _joined(first: Candles, second: Candles) -> Candles:
    return replace(
        first,
        open_time=np.concatenate((first.open_time, second.open_time)),
        open=np.concatenate((first.open, second.open)),
        high=np.concatenate((first.high, second.high)),
        low=np.concatenate((first.low, second.low)),
        close=np.concatenate((first.close, second.close)),
        volume=np.concatenate((first.volume, second.volume)),
    )
