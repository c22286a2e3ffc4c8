"""A request for a user's own rules carries them; one for the catalogue's carries their name."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from alpharay.backtest.costs import Costs
from alpharay.bus.messages import DiscoveryRequest
from alpharay.discovery.search import SearchSettings
from alpharay.indicators.registry import INDICATORS
from alpharay.store.candle_rows import Market
from alpharay.store.database import DatabasePool
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.loading import strategies_from
from alpharay.strategies.strategy import Strategy, with_minimum_holding
from ray_jobs.discovery_messages import carried_rules, discovery_request, requested_strategy
from ray_jobs.request_discovery import make_requests

SMA_RSI = CATALOGUE["SMA_RSI"]


def request_for(strategy: Strategy) -> DiscoveryRequest:
    """Return a request as a worker gets it from the wire."""
    request = discovery_request(
        Market("simulated", "SPX/USD", "1d"), start_time=0, end_time=8_640_000_000, strategy_name=strategy.name,
        settings=SearchSettings(), costs=Costs(), rules=carried_rules(strategy),
    )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(request), type=DiscoveryRequest)


def test_a_request_for_the_catalogue_has_the_id_it_always_had() -> None:
    request = request_for(SMA_RSI)
    assert request.strategy is None
    # Written down before requests could carry rules: asking again is still the same run.
    assert request.run_id == "sma_rsi-89375c2d454318663e1cb9d1"
    assert requested_strategy(request) is SMA_RSI


def test_other_rules_under_a_name_of_the_catalogue_travel_and_are_another_run() -> None:
    held = with_minimum_holding(SMA_RSI, 0, 20, default=5)
    request = request_for(held)
    assert requested_strategy(request) == held
    assert request.run_id != request_for(SMA_RSI).run_id


def test_a_name_that_no_one_knows_is_refused() -> None:
    request = msgspec.structs.replace(request_for(SMA_RSI), strategy_name="NO_SUCH")
    with pytest.raises(KeyError, match="NO_SUCH"):
        requested_strategy(request)


def test_rules_under_another_name_than_the_request_s_are_refused() -> None:
    request = request_for(with_minimum_holding(SMA_RSI, 0, 20, default=5))
    with pytest.raises(ValueError, match="strategy_name must be that of the rules, SMA_RSI, was OTHER"):
        requested_strategy(msgspec.structs.replace(request, strategy_name="OTHER"))


def test_rules_with_an_indicator_of_the_user_s_file_are_not_requested(tmp_path: Any) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from alpharay.indicators.registry import indicator\n"
        "from alpharay.strategies.expression import close, ta\n"
        "from alpharay.strategies.strategy import Strategy\n\n"
        "@indicator(inputs=('close',), warm_up=lambda: 0)\n"
        "def not_to_be_sent(close):\n    return close * 1.0\n\n"
        "MINE = Strategy('MINE', '', (), close > ta.not_to_be_sent(), close < ta.not_to_be_sent())\n"
    )
    try:
        with pytest.raises(ValueError, match=r"MINE uses an indicator of .*mine\.py, and requests carry no code"):
            make_requests(
                cast("DatabasePool", None),
                ["SPX/USD"],
                "1d",
                [100],
                strategies_from(str(path)),
                SearchSettings(),
                Costs(),
            )
    finally:
        INDICATORS.pop("not_to_be_sent", None)
