"""All that the simulated exchange knows and keeps."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from alpharay.feeds.simulated.clock import ReplayClock
from alpharay.feeds.simulated.faults import Faults
from alpharay.feeds.simulated.replay import Replay
from alpharay.feeds.simulated.request_weight import RequestWeight


@dataclass(frozen=True, slots=True)
class SimulatedExchange:
    """The markets, the replay's time, who has asked how much, and the faults still to happen."""

    replay: Replay
    clock: ReplayClock
    weight: RequestWeight
    faults: Faults


def exchange_of(request: Request) -> SimulatedExchange:
    """Return the exchange that answers the request."""
    exchange = request.app.state.exchange
    assert isinstance(exchange, SimulatedExchange)
    return exchange
