from __future__ import annotations

import msgspec
import pytest

from alpharay.bus.codec import MessageDecoder, NewerVersionError, UndecodableError, encode
from alpharay.bus.messages import CandleMessage, DeadLetter

CANDLE = CandleMessage(
    exchange="simulated",
    symbol="BTC/USD",
    timeframe="1m",
    open_time=1_700_000_040_000,
    open=10.0,
    high=12.0,
    low=9.0,
    close=11.0,
    volume=3.5,
    revision=1_700_000_100_000,
)


def _changed(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.structs.asdict(CANDLE), **fields})


def test_a_message_survives_the_way_there_and_back():
    assert MessageDecoder(CandleMessage).decode(encode(CANDLE)) == CANDLE


def test_an_unknown_field_is_ignored():
    assert MessageDecoder(CandleMessage).decode(_changed(trades=7)) == CANDLE


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"", "truncated"),
        (b"\xff\x00", "malformed"),
        (b"[]", "object"),
        (_changed(open="ten"), "open"),
        (_changed(open=None), "open"),
        (_changed(open_time=1_700_000_040), None),
        (_changed(open_time=10**17), "open_time"),
        (_changed(open_time=10**30), "open_time"),
        (b"{}", "exchange"),
    ],
)
def test_what_is_no_candle_is_undecodable_and_the_reason_names_the_field(value: bytes, named: str | None):
    decoder = MessageDecoder(CandleMessage)
    if named is None:
        decoder.decode(value)  # seconds are a possible, early time in ms: the rules of candles judge it
        return
    with pytest.raises(UndecodableError, match=named):
        decoder.decode(value)


def test_a_newer_version_is_told_apart_even_when_its_fields_have_changed():
    decoder = MessageDecoder(CandleMessage)
    with pytest.raises(NewerVersionError, match="version was 2"):
        decoder.decode(_changed(version=2))
    with pytest.raises(NewerVersionError):
        decoder.decode(b'{"version": 2, "everything": "else"}')


def test_a_batch_keeps_places_and_refuses_only_the_bad():
    batch = MessageDecoder(CandleMessage).decode_batch([encode(CANDLE), b"oops", encode(CANDLE)])
    assert list(batch.indexes) == [0, 2]
    assert [refusal.index for refusal in batch.refusals] == [1]
    assert batch.newer_at is None


def test_a_batch_is_decoded_up_to_the_first_newer_version():
    batch = MessageDecoder(CandleMessage).decode_batch([encode(CANDLE), _changed(version=9), encode(CANDLE)])
    assert len(batch.messages) == 1
    assert batch.newer_at == 1


def test_two_messages_in_one_value_are_refused_not_counted_as_two():
    both = encode(CANDLE) + b"," + encode(CANDLE)
    batch = MessageDecoder(CandleMessage).decode_batch([both, encode(CANDLE)])
    assert list(batch.indexes) == [1]
    assert [refusal.index for refusal in batch.refusals] == [0]


def test_an_empty_batch_is_empty():
    batch = MessageDecoder(DeadLetter).decode_batch([])
    assert (list(batch.messages), list(batch.refusals), batch.newer_at) == ([], [], None)
