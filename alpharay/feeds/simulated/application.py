"""The simulated exchange as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import ASGIApp

from alpharay.feeds.simulated.control import CONTROL_ROUTES
from alpharay.feeds.simulated.exchange import SimulatedExchange
from alpharay.feeds.simulated.gate import Gate
from alpharay.feeds.simulated.market_data import MARKET_DATA_ROUTES, refused
from alpharay.feeds.simulated.parameters import RefusedRequestError


def simulated_exchange_app(exchange: SimulatedExchange) -> ASGIApp:
    """Return the application that answers for `exchange`."""
    app = Starlette(routes=[*MARKET_DATA_ROUTES, *CONTROL_ROUTES], exception_handlers={RefusedRequestError: refused})
    app.state.exchange = exchange
    return Gate(app, exchange)
