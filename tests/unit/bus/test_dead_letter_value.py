from __future__ import annotations

import pytest

from alpharay.bus.dead_letters import refuse, refused_value
from alpharay.bus.messages import DeadLetter


class RecordingProducer:
    def __init__(self) -> None:
        self.published: list[tuple[str, DeadLetter, str]] = []

    def publish(self, topic: str, message: DeadLetter, *, key: str, **_: object) -> None:
        self.published.append((topic, message, key))


@pytest.mark.parametrize("value", [b'{"symbol": "BTC/USD"}', b"", b"\xff\xfe\x00", "€".encode()])
def test_a_refused_value_comes_back_byte_for_byte(value: bytes):
    producer = RecordingProducer()
    refuse(producer, value, reason="no", source="test", topic="candles", key=None)
    topic, letter, key = producer.published[0]
    assert topic == "dead-letters"
    assert refused_value(letter) == value
    assert (letter.reason, letter.topic, key) == ("no", "candles", "test")


def test_an_unknown_encoding_is_an_error_that_names_it():
    letter = DeadLetter(reason="", source="", value="", encoding="rot13", refused_at=0)
    with pytest.raises(ValueError, match="rot13"):
        refused_value(letter)
