from __future__ import annotations

import threading

import msgspec

from alpharay.bus.background_publisher import BackgroundPublisher
from alpharay.bus.producer import PublishError


class Broker:
    """Stands in for a producer: it takes messages, or does not."""

    def __init__(self) -> None:
        self.down = False
        self.opened = 0
        self.sent: list[str] = []
        self.got_one = threading.Event()

    def open(self) -> Broker:
        self.opened += 1
        return self

    def publish(self, topic: str, message: msgspec.Struct, *, key: str, correlation_id: str | None = None) -> None:
        del topic, message, correlation_id
        if self.down:
            raise PublishError("down")
        self.sent.append(key)

    def flush(self, timeout_s: float) -> None:
        del timeout_s
        self.got_one.set()

    def close(self, timeout_s: float) -> None:
        del timeout_s


class Text(msgspec.Struct):
    text: str = ""


def test_messages_arrive_in_order_and_are_counted() -> None:
    broker = Broker()
    publisher = BackgroundPublisher(broker.open, every_s=0.01)  # type: ignore[arg-type]
    for place in range(2_500):
        assert publisher.offer("signals", Text(), key=str(place), correlation_id="c")
    publisher.close()
    assert broker.sent == [str(place) for place in range(2_500)]
    assert (publisher.published, publisher.dropped, publisher.waiting) == (2_500, 0, 0)


def test_a_full_queue_drops_the_newest_at_once_and_counts_them() -> None:
    publisher = BackgroundPublisher(Broker().open, queue_messages=3, every_s=30.0)  # type: ignore[arg-type]
    assert [publisher.offer("signals", Text(), key="k", correlation_id="c") for _ in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert publisher.dropped == 2
    publisher.close()
    assert publisher.published == 3


def test_what_was_not_acknowledged_is_sent_again_by_a_new_producer() -> None:
    broker = Broker()
    broker.down = True
    publisher = BackgroundPublisher(broker.open, every_s=0.01)  # type: ignore[arg-type]
    publisher.offer("signals", Text(), key="one", correlation_id="c")
    wait = threading.Event()
    for _ in range(500):
        if publisher.failures:
            break
        wait.wait(0.01)
    broker.down = False
    assert broker.got_one.wait(10.0)
    publisher.close()
    assert broker.sent == ["one"]
    assert broker.opened >= 2
    assert publisher.published == 1
