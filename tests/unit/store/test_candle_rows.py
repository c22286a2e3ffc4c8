from __future__ import annotations

import struct

import msgspec
import numpy as np
import pytest

from alpharay.bus.codec import encode
from alpharay.bus.messages import CandleMessage
from alpharay.store.candle_partitions import months_of, partition_name
from alpharay.store.candle_rows import (
    COLUMNS,
    candle_rows,
    encode_binary_copy,
    newest_revisions,
    parse_candle_rows,
)
from alpharay.store.candle_writer import CandleWriter, keep_good_candles

MINUTE = 60_000


def candle(minute: int, *, symbol: str = "BTC/USD", revision: int = 1, **values: float) -> CandleMessage:
    prices = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 1.0, **values}
    return CandleMessage(
        exchange="x", symbol=symbol, timeframe="1m", open_time=minute * MINUTE, revision=revision, **prices
    )


def read_binary_copy(stream: bytes) -> list[tuple[object, ...]]:
    assert stream[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    rows, place = [], 19
    while (fields := struct.unpack_from(">h", stream, place)[0]) != -1:
        place += 2
        row = []
        for name in COLUMNS[:fields]:
            length = struct.unpack_from(">i", stream, place)[0]
            data = stream[place + 4 : place + 4 + length]
            place += 4 + length
            kind = {"open_time": ">q", "revision": ">q"}.get(name, ">d")
            row.append(data.decode() if name in COLUMNS[:3] else struct.unpack(kind, data)[0])
        rows.append(tuple(row))
    assert place + 2 == len(stream)
    return rows


def test_binary_copy_holds_every_row_of_every_market():
    messages = [candle(1), candle(2, symbol="ÄÖ/USD", close=10.25), candle(3, revision=7)]
    written = read_binary_copy(encode_binary_copy(newest_revisions(candle_rows(messages))))
    wanted = [tuple(getattr(message, name) for name in COLUMNS) for message in messages]
    assert sorted(written) == sorted(wanted)


def test_no_candles_make_an_empty_stream():
    assert read_binary_copy(encode_binary_copy(newest_revisions(candle_rows([])))) == []


def test_parsing_columns_gives_the_same_bits_as_decoding_messages():
    random = np.random.default_rng(3)
    scales = 10.0 ** random.integers(-300, 300, 2000)
    messages = [
        candle(minute, symbol=f"S{minute % 7}/USD", open=float(value), volume=float(scale))
        for minute, (value, scale) in enumerate(zip(random.random(2000), random.random(2000) * scales, strict=True))
    ]
    parsed = parse_candle_rows([encode(message) for message in messages], known_version=1)
    decoded = candle_rows(messages)
    assert parsed is not None
    assert parsed.markets == decoded.markets
    for name in ("market", "open_time", "open", "volume", "revision"):
        np.testing.assert_array_equal(getattr(parsed, name), getattr(decoded, name))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"oops",
        b"{}",
        b"[1]",
        encode(candle(1)) + b"\n" + encode(candle(2)),
        msgspec.json.encode({**msgspec.structs.asdict(candle(1)), "version": 2}),
        msgspec.json.encode({**msgspec.structs.asdict(candle(1)), "open": None}),
        msgspec.json.encode({**msgspec.structs.asdict(candle(1)), "open": "10"}),
        msgspec.json.encode({**msgspec.structs.asdict(candle(1)), "open_time": 1.5}),
        msgspec.json.encode({**msgspec.structs.asdict(candle(1)), "open_time": 10**16}),
    ],
)
def test_parsing_columns_gives_way_to_decoding_where_anything_is_odd(value: bytes):
    assert parse_candle_rows([encode(candle(1)), value], known_version=1) is None


def test_the_highest_revision_of_an_identity_wins_and_of_equal_ones_the_last():
    rows = newest_revisions(
        candle_rows(
            [
                candle(1, revision=5, close=10.5),
                candle(1, revision=3, close=9.5),
                candle(2, revision=4, close=10.1),
                candle(2, revision=4, close=10.2),
                candle(1, symbol="ETH/USD", revision=1, close=9.1),
            ]
        )
    )
    assert rows.close.tolist() == [10.5, 10.2, 9.1]


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (candle(1, high=8.0), "high"),
        (candle(1, low=0.0), "low"),
        (candle(1, volume=-1.0), "volume"),
        (candle(1, symbol=""), "symbol"),
        (candle(1, symbol="A\x00B"), "symbol"),
        (msgspec.structs.replace(candle(1), timeframe="1y"), "timeframe"),
        (msgspec.structs.replace(candle(1), open_time=MINUTE + 1), "open_time"),
    ],
)
def test_a_candle_that_breaks_a_rule_is_refused_with_the_field_and_the_others_stay(bad: CandleMessage, named: str):
    rows, refusals = keep_good_candles([candle(5), bad, candle(6)])
    assert rows.open_time.tolist() == [5 * MINUTE, 6 * MINUTE]
    assert [refusal.index for refusal in refusals] == [1]
    assert named in refusals[0].reason


def test_a_batch_with_bad_values_gives_their_places_in_the_batch():
    values = [b"oops", encode(candle(1)), encode(candle(2, high=1.0)), encode(candle(3))]
    prepared = CandleWriter().decode(values)
    assert prepared.rows == 2
    assert sorted(refusal.index for refusal in prepared.refusals) == [0, 2]


def test_months_are_named_by_utc_and_cover_years_before_1970():
    times = np.array([-1, 0, 31 * 86_400_000 - 1, 31 * 86_400_000], dtype=np.int64)
    assert [partition_name(month) for month in months_of(times)] == [
        "candles_1969_12",
        "candles_1970_01",
        "candles_1970_02",
    ]
