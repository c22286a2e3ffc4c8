"""The risk view read from a real database: only changes are read, and what cannot be read harms nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import alpharay.store.risk_snapshots
from alpharay.market.timeframe import timeframe_ms
from alpharay.models.volatility_fit import fit_volatility
from alpharay.risk.calibration import CalibrationSettings
from alpharay.risk.market_view import MarketName, PairName
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.migrate import migrate
from alpharay.store.risk_snapshots import CANDLES_A_MARKET, RiskSnapshots
from benchmarks.signal_data import EXCHANGE, generated_candles, store_candles
from ray_jobs.calibrate import calibrate_market, calibrate_pair

SETTINGS = CalibrationSettings()
BTC, ETH = Market(EXCHANGE, "BTC/USD", "1h"), Market(EXCHANGE, "ETH/USD", "1h")
WHOLE = generated_candles("BTC/USD", bars=400, seed=1)


@pytest.fixture
def url(database: str) -> str:
    migrate(database)
    store_candles(database, WHOLE.slice(0, 390))
    # Of the same hours, also when another has begun meanwhile.
    end_ms = int(WHOLE.open_time[-1]) + timeframe_ms("1h")
    store_candles(database, generated_candles("ETH/USD", bars=400, seed=2, end_ms=end_ms))
    return database


@pytest.fixture
def pool(url: str) -> Iterator[DatabasePool]:
    with open_pool(url, application="test-risk-snapshots", max_connections=2) as opened:
        for market in (BTC, ETH):
            calibrate_market(opened, market, SETTINGS)
        yield opened


def test_nothing_new_is_the_same_view_and_new_candles_bring_the_state_forward(url: str, pool: DatabasePool) -> None:
    snapshots = RiskSnapshots()
    with pool.connection() as connection:
        first = snapshots.refresh(connection)
        assert snapshots.refresh(connection) is first
        assert set(first.markets) == {MarketName(*BTC), MarketName(*ETH)}
        assert first.problems == ()
        store_candles(url, WHOLE.tail(10))
        second = snapshots.refresh(connection)
    before, after = first.markets[MarketName(*BTC)], second.markets[MarketName(*BTC)]
    assert before.volatility is not None
    assert after.volatility is not None
    assert (before.volatility.state.observations, after.volatility.state.observations) == (389, 399)
    assert after.history.close.tolist() == WHOLE.close.tolist()
    assert after.volatility.decided_at == before.volatility.decided_at
    assert after.change_points is not None
    assert after.change_points.state.observations == 399
    assert len(after.history.open_time) <= CANDLES_A_MARKET


def test_a_new_fit_and_a_new_pair_are_in_the_next_view(url: str, pool: DatabasePool) -> None:
    snapshots = RiskSnapshots()
    with pool.connection() as connection:
        snapshots.refresh(connection)
    store_candles(url, WHOLE.tail(10))
    calibrate_market(pool, BTC, SETTINGS)
    assert calibrate_pair(pool, BTC, ETH, SETTINGS).stored
    with pool.connection() as connection:
        view = snapshots.refresh(connection)
    fitted = view.markets[MarketName(*BTC)].volatility
    assert fitted is not None
    assert fitted.state == fit_volatility(view.markets[MarketName(*BTC)].history.returns)
    pair = view.pairs[PairName(EXCHANGE, "BTC/USD", "ETH/USD", "1h")]
    assert len(pair.pair.open_time) == 400
    assert pair.reversion.problem is None


def test_a_reading_that_is_cut_in_the_middle_loses_no_change(
    pool: DatabasePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = RiskSnapshots()

    def cut(*_: Any) -> None:
        raise psycopg.OperationalError("cut")

    with pool.connection() as connection:
        with monkeypatch.context() as patched:
            patched.setattr(alpharay.store.risk_snapshots, "load_newest_candles", cut)
            with pytest.raises(psycopg.OperationalError):
                snapshots.refresh(connection)
        assert len(snapshots.refresh(connection).markets) == 2


def test_what_cannot_be_read_is_told_until_it_can_and_the_rest_serves_on(pool: DatabasePool) -> None:
    snapshots = RiskSnapshots()
    with pool.connection() as connection:
        connection.execute("UPDATE risk_models SET version = 9 WHERE kind = 'change_points' AND symbol = 'BTC/USD'")
        connection.execute("UPDATE candles SET close = -1 WHERE symbol = 'ETH/USD' AND open_time % 7200000 = 0")
        view = snapshots.refresh(connection)
        assert set(view.markets) == {MarketName(*BTC)}
        assert view.markets[MarketName(*BTC)].change_points is None
        told = " | ".join(view.problems)
        assert "change_points generated BTC/USD 1h: version of a stored state must be 1, was 9" in told
        assert "generated ETH/USD 1h: close must be above 0, was -1.0" in told
        connection.execute("UPDATE candles SET close = 5 WHERE close = -1")
        later = snapshots.refresh(connection)
        assert set(later.markets) == {MarketName(*BTC), MarketName(*ETH)}
        assert len(later.problems) == 1
        connection.rollback()
