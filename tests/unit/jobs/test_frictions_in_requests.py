"""What a request carries of a search beyond its first fields: frictions, a time frame, and every other setting."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import msgspec
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions, Funding, SquareRootImpact, frictions_to_json
from alpharay.bus.messages import BacktestRequest, DiscoveryRequest
from alpharay.discovery.search import SearchSettings
from alpharay.store.backtest_requests import check_backtest_request, requested_frictions
from alpharay.store.candle_rows import Market
from alpharay.store.message_writer import RefusedMessageError
from alpharay.store.requests import requested_costs, requested_search, store_request
from alpharay.strategies.catalogue import CATALOGUE
from ray_jobs.backtest import identified
from ray_jobs.discovery_messages import discovery_request, searched_timeframe
from ray_jobs.search_options import parsed_timeframes, with_holding

MARKET = Market("simulated", "SPX/USD", "1h")
FRICTIONS = Frictions(
    starting_capital=50_000.0,
    fee_tiers=(FeeTier(volume=0.0, fee=0.002), FeeTier(volume=1e6, fee=0.001)),
    impact=SquareRootImpact(),
    tick_size=0.01,
    lot_size=0.001,
    minimum_notional=10.0,
    funding=Funding(short=0.0001),
)
OTHERWISE = {
    "population": 60, "generations": 7, "top_n": 3, "seed": 4, "objective": "nsga2", "train_fraction": 0.6,
    "min_trades": 2, "tournament_size": 4, "crossover_probability": 0.5, "mutation_probability": 0.1,
    "difference_share": 0.25, "last_survivors": 0.5, "patience": 3, "islands": 2, "migration_interval": 2,
    "migrants": 1, "timeframes": ("4h",),
}  # fmt: skip
"""Of every setting a value that is not its default."""


DEFAULTS = SearchSettings()


def asked(settings: SearchSettings = DEFAULTS, frictions: Frictions | None = None) -> DiscoveryRequest:
    """Return a request as a worker gets it from the wire."""
    request = discovery_request(
        MARKET, start_time=0, end_time=8_640_000_000, strategy_name="SMA_RSI", settings=settings, costs=Costs(),
        frictions=frictions,
    )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(request), type=DiscoveryRequest)


def test_frictions_travel_and_make_it_another_run() -> None:
    request = asked(frictions=FRICTIONS)
    assert requested_costs(request) == (Costs(), FRICTIONS)
    assert requested_costs(asked()) == (Costs(), None)
    ids = {item.run_id for item in (asked(), request, asked(frictions=replace(FRICTIONS, tick_size=0.02)))}
    assert len(ids) == 3
    assert asked(frictions=FRICTIONS).run_id == request.run_id


@pytest.mark.parametrize("name", sorted({item.name for item in fields(SearchSettings)} - {"minimum_holding"}))
def test_every_setting_of_a_search_travels_and_makes_it_another_run(name: str) -> None:
    settings = replace(SearchSettings(), **{name: OTHERWISE[name]})
    assert requested_search(asked(settings)) == settings
    assert asked(settings).run_id != asked().run_id


def test_all_settings_travel_together_and_defaults_are_not_written() -> None:
    settings = SearchSettings(**cast("dict[str, Any]", OTHERWISE))
    assert requested_search(asked(settings)) == settings
    plain = msgspec.structs.asdict(asked())
    assert {name for name, value in plain.items() if value is None} == {
        "strategy", "frictions", "resample_to", "evolution", "pool", "patience", "islands", "migration_interval",
        "migrants", "tournament_size", "crossover_probability", "mutation_probability", "difference_share",
        "last_survivors",
    }  # fmt: skip


def test_the_candles_own_time_frame_is_not_resampled_and_several_are_several_requests() -> None:
    assert asked(SearchSettings(timeframes=("1h",))) == asked()
    assert searched_timeframe(asked()) == "1h"
    assert searched_timeframe(asked(SearchSettings(timeframes=("4h",)))) == "4h"
    with pytest.raises(ValueError, match="searches one time frame, was 2h, 4h: make one for each"):
        asked(SearchSettings(timeframes=("2h", "4h")))
    with pytest.raises(ValueError, match="carries the minimum holding in its rules"):
        asked(SearchSettings(minimum_holding=(0, 5)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"frictions": {"tick_size": 0.0}}, "tick_size must be above 0 and finite, was 0"),
        ({"frictions": {"ticks": 0.1}}, "frictions must have fields of .*, was {'ticks': 0.1}"),
        ({"frictions": {"fee_tiers": [{"volume": 0, "fee": 0.6}]}}, "fee of a fee tier must be in .*was 0.6"),
        ({"fee": 0.7}, "fee must be in .*was 0.7"),
        ({"resample_to": "90m"}, "resample_to must be a whole multiple of 1h, was '90m'"),
        ({"islands": 40}, "islands must be from 1 to 25, half the population, was 40"),
        ({"patience": 0}, "patience must be at least 1, was 0"),
        ({"objective": "luck"}, "objective must be one of .*was 'luck'"),
    ],
)
def test_a_request_that_no_worker_could_search_is_refused_with_field_and_value(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RefusedMessageError, match=reason):
        store_request(cast("Connection[TupleRow]", None), msgspec.structs.replace(asked(), **changes))


def backtest_request(**changes: Any) -> BacktestRequest:
    return BacktestRequest(
        request_id="", exchange="simulated", symbol="BTC/USD", timeframe="1d", start_time=0, end_time=86_400_000,
        strategy_name="SMA_RSI", **changes,
    )  # fmt: skip


def test_a_backtest_with_frictions_is_another_and_a_wrong_one_is_refused() -> None:
    dear = backtest_request(frictions=frictions_to_json(FRICTIONS))
    assert requested_frictions(dear) == FRICTIONS
    assert requested_frictions(backtest_request()) is None
    assert identified(dear).request_id != identified(backtest_request()).request_id
    check_backtest_request(identified(dear))
    with pytest.raises(ValueError, match="lot_size must be above 0 and finite, was -1"):
        check_backtest_request(identified(backtest_request(frictions={"lot_size": -1.0})))


def test_a_backtest_without_frictions_has_the_id_it_always_had() -> None:
    # Written down before requests could carry frictions: asking again is still the same backtest.
    assert identified(backtest_request()).request_id == "sma_rsi-541f9cbd1c71fe5276c220af"


def test_time_frames_are_read_in_their_order() -> None:
    assert parsed_timeframes(None) == ()
    assert parsed_timeframes("15m, 1h") == ("15m", "1h")
    with pytest.raises(ValueError, match="15x"):
        parsed_timeframes("15x")
    with pytest.raises(ValueError, match="timeframes must be different, was 1h,1h"):
        parsed_timeframes("1h,1h")


def test_a_minimum_holding_becomes_a_parameter_of_the_rules() -> None:
    plain = (CATALOGUE["SMA_RSI"],)
    assert with_holding(plain, None) == plain
    (held,) = with_holding(plain, "2, 48")
    assert (held.parameters[-1].low, held.parameters[-1].high) == (2, 48)
    for wrong in ("5", "5,2", "-1,2", "a,b", "1,2,3"):
        with pytest.raises(ValueError, match="minimum_holding must be two numbers of bars in order"):
            with_holding(plain, wrong)
    with pytest.raises(ValueError, match="has a minimum_holding already"):
        with_holding((held,), "0,3")
