"""What every broker must do, on paper or live, so that an executor needs to know no more of it."""

from __future__ import annotations

from typing import Protocol

from alpharay.portfolio.orders import BrokerOrder, Order


class BrokerUnavailableError(ConnectionError):
    """The broker did not answer in time, so what it did is not known: look the order up before anything else."""


class Broker(Protocol):
    """One account at one broker. Every call ends within `timeout_s`, in an answer or in BrokerUnavailableError."""

    timeout_s: float

    def submit(self, order: Order) -> BrokerOrder:
        """Submit an order under its id as the client order id; what is refused is `rejected`, with the reason.

        An id that the broker knows is no second order: the answer is the one that there is, whatever else differs.
        """
        ...

    def look_up(self, order_id: str) -> BrokerOrder | None:
        """Return an order by its client order id, or None when the broker has never had it."""
        ...

    def cancel(self, order_id: str) -> BrokerOrder | None:
        """Cancel what is left of an order and return it; one that has ended stays as it is. None as in `look_up`."""
        ...
