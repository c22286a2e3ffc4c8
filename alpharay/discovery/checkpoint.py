"""A discovery between two rounds, as a value and as bytes: what goes on from it ends as the undisturbed one."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np

from alpharay.backtest.costs import Costs
from alpharay.backtest.stops import Stops
from alpharay.discovery.champions import Champions
from alpharay.discovery.island import Island
from alpharay.discovery.report import Generation, StopReason
from alpharay.discovery.settings import SearchSettings
from alpharay.market.candles import Candles
from alpharay.market.fingerprint import fingerprint
from alpharay.strategies.codec import strategy_to_json
from alpharay.strategies.strategy import Strategy

VERSION = 1
"""Grows whenever the bytes, or what a generation does with them, change: old checkpoints are then refused."""

MAGIC = b"alpharay-checkpoint"
DIGEST_BYTES = 32


State = TypeVar("State")


class CheckpointError(ValueError):
    """The checkpoint is damaged, of another version, or of another configuration."""


@dataclass(frozen=True, slots=True)
class SearchCheckpoint:
    """One search between two rounds."""

    strategy_name: str
    timeframe: str
    configuration: dict[str, str]
    """Everything that decides what it finds, by name."""
    islands: tuple[Island, ...]
    champions: Champions
    log: tuple[Generation, ...]
    stop_reason: StopReason | None
    """Set when the search has ended."""
    backtest_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The searches of one call of `discover_all`; each may be kept and resumed by itself."""

    searches: tuple[SearchCheckpoint, ...]

    def of(self, strategy_name: str, timeframe: str) -> SearchCheckpoint | None:
        """Return one search; None when it is not here."""
        for item in self.searches:
            if (item.strategy_name, item.timeframe) == (strategy_name, timeframe):
                return item
        return None


def joined(checkpoints: Iterable[Checkpoint]) -> Checkpoint:
    """Return one checkpoint with the searches of all."""
    return Checkpoint(tuple(search for checkpoint in checkpoints for search in checkpoint.searches))


def configuration(
    strategy: Strategy, settings: SearchSettings, candles: Sequence[Candles], costs: Costs, stops: Stops
) -> dict[str, str]:
    """Return everything that decides what a search finds, by name; `candles` are what it trains on."""
    # A search is on one time frame, that of its candles; those that run beside it decide nothing.
    found = {name: repr(value) for name, value in asdict(settings).items() if name != "timeframes"}
    rules = msgspec.json.encode(strategy_to_json(strategy), order="sorted")
    found["strategy"] = f"{strategy.name} {hashlib.sha256(rules).hexdigest()[:16]}"
    for item in candles:
        found[f"candles of {item.symbol}"] = fingerprint(item)
    found["costs"], found["stops"] = repr(costs), repr(stops)
    return found


def check_configuration(of: str, configuration: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise CheckpointError naming the first thing that a checkpoint's search had otherwise."""
    for name in sorted(configuration.keys() | expected.keys()):
        was, now = configuration.get(name, "absent"), expected.get(name, "absent")
        if was != now:
            raise CheckpointError(
                f"the checkpoint of {of} is of another search: its {name} "
                f"was {was}, here it is {now}; resume with the same, or begin anew without the checkpoint"
            )


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """Return the checkpoint as bytes: magic, version, SHA-256, then compressed msgpack."""
    return packed(checkpoint, MAGIC, VERSION)


def checkpoint_from(data: bytes) -> Checkpoint:
    """Return the checkpoint that `checkpoint_bytes` wrote; raises CheckpointError for any other bytes."""
    return unpacked(data, Checkpoint, MAGIC, VERSION)


def packed(state: object, magic: bytes, version: int) -> bytes:
    """Return a search's state as bytes that `unpacked` checks before it reads them."""
    body = zlib.compress(msgspec.msgpack.encode(state, enc_hook=_array_to_parts), level=1)
    return magic + version.to_bytes(2, "big") + hashlib.sha256(body).digest() + body


def unpacked(data: bytes, kind: type[State], magic: bytes, version: int) -> State:
    """Return the state in the bytes; raises CheckpointError for any that are not a whole one of this version."""
    start = len(magic) + 2
    if data[: len(magic)] != magic or len(data) < start + DIGEST_BYTES:
        raise CheckpointError(f"these {len(data)} bytes are no checkpoint: begin the search anew")
    found = int.from_bytes(data[len(magic) : start], "big")
    if found != version:
        raise CheckpointError(
            f"the checkpoint's version must be {version}, was {found}: resume with the AlphaRay that wrote it, or "
            "begin the search anew"
        )
    body = data[start + DIGEST_BYTES :]
    if hashlib.sha256(body).digest() != data[start : start + DIGEST_BYTES]:
        raise CheckpointError(f"the checkpoint of {len(data)} bytes is damaged: begin the search anew")
    return msgspec.msgpack.decode(zlib.decompress(body), type=kind, dec_hook=_array_of_parts)


def _array_to_parts(value: Any) -> list[object]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a checkpoint holds arrays and plain values, was {type(value).__name__}")
    return [value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()]


def _array_of_parts(_: type, parts: Any) -> Any:
    kind, shape, data = parts
    return np.frombuffer(data, dtype=kind).reshape(shape)
