"""An executor that hangs while it hands an order over, so that it can be killed there, or stopped and woken up.

Arguments: database URL, "before" or "after" (the broker has had the order), a file to make when it hangs. It goes on
once there is a second file of that name with ".go".
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from alpharay.portfolio.orders import BrokerOrder, Order
from alpharay.store.database import open_pool
from alpharay.store.executor_leases import take_lease
from alpharay.store.order_execution import execute_round
from alpharay.store.paper_broker import PaperBroker


class HangingBroker(PaperBroker):
    """Hangs in its orders."""

    when: str
    mark: Path

    def submit(self, order: Order) -> BrokerOrder:
        """Submit the order before or after hanging."""
        if self.when == "after":
            super().submit(order)
        self.mark.touch()
        deadline = time.monotonic() + 300.0
        while not self.mark.with_suffix(".go").exists():
            assert time.monotonic() < deadline, "it is killed or woken up before"
            time.sleep(0.05)
        return super().submit(order)


if __name__ == "__main__":
    url, when, mark = sys.argv[1:]
    with open_pool(url, application="dying") as pool:
        broker = HangingBroker(pool, "paper", exchange="test", timeframe="1m")
        broker.when, broker.mark = when, Path(mark)
        with pool.connection() as connection:
            lease = take_lease(connection, "paper", "dying")
        assert lease is not None
        execute_round(pool, broker, lease)
