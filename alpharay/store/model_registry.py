"""The registry of signal models: their bytes, what they are worth, and which of each market speaks.

CANDIDATE -> ACTIVE -> RETIRED -> ACTIVE …; REJECTED, which the gate did not let pass, never speaks. The activations of
a market are a stack: activating puts a model on top, rolling back takes it off and leaves the one below as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from alpharay.features.feature_set import FEATURE_SET
from alpharay.models.signal_model import FeatureSetError, SignalModel
from alpharay.models.signal_model_codec import checksum_of, model_of_bytes, model_to_bytes
from alpharay.store.candle_rows import Market

CANDIDATE = "CANDIDATE"
ACTIVE = "ACTIVE"
REJECTED = "REJECTED"
RETIRED = "RETIRED"

KEPT = 10
"""Of each market, so many models that once spoke and so many that never did are kept beside the one that speaks."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A stored model without its bytes."""

    model_id: str
    """`alpharay.models.signal_model_codec.training_id` of what made it."""
    exchange: str
    symbol: str
    timeframe: str
    feature_set: str
    trained_from: int
    """Open time of the first candle that it was trained on, UTC ms."""
    trained_until: int
    metrics: Mapping[str, Any]
    """`alpharay.models.signal_model.ModelEvidence`."""
    status: str
    reason: str
    checksum: str
    bytes: int
    created_at: datetime
    activated_at: datetime | None
    """When it was put on top of its market's stack; None for one that is not on it, or was taken off."""
    retired_at: datetime | None

    @property
    def market(self) -> Market:
        """What it speaks of."""
        return Market(self.exchange, self.symbol, self.timeframe)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A market's active model as a replica holds it, or why it cannot be used: then nothing speaks there."""

    model_id: str
    checksum: str
    model: SignalModel | None
    problem: str | None = None


_COLUMNS = (
    "model_id, exchange, symbol, timeframe, feature_set, trained_from, trained_until, metrics, status, reason, "
    "checksum, octet_length(model) AS bytes, created_at, activated_at, retired_at"
)

_STORE = """
INSERT INTO signal_models (model_id, exchange, symbol, timeframe, feature_set, trained_from, trained_until, metrics,
                           status, reason, checksum, model)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (model_id) DO NOTHING
"""

# Its place in the stack is its time of activation, so the one below is the newest that was activated before it.
_BELOW = """
SELECT model_id FROM signal_models
WHERE (exchange, symbol, timeframe) = (%(exchange)s, %(symbol)s, %(timeframe)s) AND status = 'RETIRED'
  AND activated_at < coalesce((
      SELECT activated_at FROM signal_models
      WHERE (exchange, symbol, timeframe) = (%(exchange)s, %(symbol)s, %(timeframe)s) AND status = 'ACTIVE'
  ), 'infinity')
ORDER BY activated_at DESC LIMIT 1
"""

_PRUNE = """
DELETE FROM signal_models USING (
    SELECT model_id, row_number() OVER (
        PARTITION BY exchange, symbol, timeframe, activated_at IS NULL
        ORDER BY coalesce(activated_at, created_at) DESC, model_id
    ) AS place
    FROM signal_models WHERE status <> 'ACTIVE'
) AS ranked
WHERE signal_models.model_id = ranked.model_id AND place > %s
"""


def store_model(connection: Connection[TupleRow], model_id: str, model: SignalModel) -> bool:
    """Store a trained model, CANDIDATE or REJECTED as its evidence says; False when it is stored already."""
    card = model.card
    content = model_to_bytes(model)
    row = (
        model_id, card.exchange, card.symbol, card.timeframe, card.feature_set, card.trained_from, card.trained_until,
        Jsonb(msgspec.to_builtins(card.evidence)), CANDIDATE if card.evidence.promoted else REJECTED,
        card.evidence.reason, checksum_of(content), content,
    )  # fmt: skip
    return connection.execute(_STORE, row).rowcount == 1


def find_model(connection: Connection[TupleRow], beginning: str) -> StoredModel:
    """Return the model whose id begins so; raises LookupError when none or several do."""
    with connection.cursor(row_factory=class_row(StoredModel)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM signal_models WHERE starts_with(model_id, %s) ORDER BY model_id LIMIT 2",
            (beginning,),
        ).fetchall()
    if len(found) == 1:
        return found[0]
    several = "several models have" if found else "no model has"
    raise LookupError(f"{several} an id that begins with {beginning[:80]!r}: see `alpharay models list`")


def stored_models(
    connection: Connection[TupleRow],
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    statuses: Collection[str] | None = None,
    limit: int = 100,
) -> list[StoredModel]:
    """Return stored models, those of one market together, the newest of each first."""
    with connection.cursor(row_factory=class_row(StoredModel)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM signal_models WHERE symbol = coalesce(%s, symbol) "
            "AND timeframe = coalesce(%s, timeframe) AND (%s::text[] IS NULL OR status = ANY(%s)) "
            "ORDER BY symbol, timeframe, exchange, created_at DESC, model_id LIMIT %s",
            (symbol, timeframe, *(2 * [None if statuses is None else list(statuses)]), limit),
        ).fetchall()


def model_content(connection: Connection[TupleRow], model_id: str) -> bytes:
    """Return a model's bytes as they are stored; raises LookupError for an unknown id."""
    row = connection.execute("SELECT model FROM signal_models WHERE model_id = %s", (model_id,)).fetchone()
    if row is None:
        raise LookupError(f"no model {model_id[:80]} is stored: see `alpharay models list`")
    return bytes(row[0])


def load_model(connection: Connection[TupleRow], model_id: str) -> SignalModel:
    """Return a stored model that can score now.

    Raises LookupError for an unknown id, ModelBytesError when its bytes are damaged or cannot be read, FeatureSetError
    when it was trained on features that this code does not have.
    """
    row = connection.execute("SELECT model, checksum FROM signal_models WHERE model_id = %s", (model_id,)).fetchone()
    if row is None:
        raise LookupError(f"no model {model_id[:80]} is stored: see `alpharay models list`")
    model = model_of_bytes(bytes(row[0]), row[1])
    if model.card.feature_set != FEATURE_SET:
        raise FeatureSetError(
            f"features of model {model_id[:12]} must be of the set {FEATURE_SET[:12]}, was "
            f"{model.card.feature_set[:12]}: train again with `python -m ray_jobs.train`"
        )
    return model


def activate_model(connection: Connection[TupleRow], model_id: str) -> bool:
    """Let a model speak in the place of its market's active one, in the connection's transaction.

    False when it is active already. It is read first, so that what cannot score never becomes active: raises what
    `load_model` raises, and ValueError for a model that the gate has rejected.
    """
    stored = find_model(connection, model_id)
    with _changing(connection, stored.market):
        stored = find_model(connection, stored.model_id)
        if stored.status == ACTIVE:
            return False
        if stored.status == REJECTED:
            raise ValueError(f"model {stored.model_id[:12]} is REJECTED and cannot speak: {stored.reason}")
        load_model(connection, stored.model_id)
        _retire_active(connection, stored.market)
        connection.execute(
            "UPDATE signal_models SET status = 'ACTIVE', activated_at = clock_timestamp(), retired_at = NULL "
            "WHERE model_id = %s",
            (stored.model_id,),
        )
    return True


def roll_back(connection: Connection[TupleRow], market: Market) -> StoredModel:
    """Let the model speak again that spoke before the active one (or the last one, if none is), and return it.

    Done again, it goes one further back; what it takes out comes back only by being activated. Raises LookupError when
    there is none, and what `load_model` raises.
    """
    with _changing(connection, market):
        row = connection.execute(_BELOW, market._asdict()).fetchone()
        if row is None:
            raise LookupError(f"no model of {' '.join(market)} spoke before: see `alpharay models list`")
        load_model(connection, row[0])
        connection.execute(
            "UPDATE signal_models SET status = 'RETIRED', retired_at = clock_timestamp(), activated_at = NULL "
            "WHERE (exchange, symbol, timeframe) = (%s, %s, %s) AND status = 'ACTIVE'",
            market,
        )
        connection.execute("UPDATE signal_models SET status = 'ACTIVE', retired_at = NULL WHERE model_id = %s", row)
        return find_model(connection, row[0])


def retire_model(connection: Connection[TupleRow], market: Market) -> bool:
    """Take a market's active model out, so that none speaks there; False when none did."""
    with _changing(connection, market):
        return _retire_active(connection, market)


def prune_models(connection: Connection[TupleRow], *, kept: int = KEPT) -> int:
    """Delete old models that do not speak, and return how many: `kept` of each kind and market stay."""
    return connection.execute(_PRUNE, (kept,)).rowcount


def refreshed_models(
    connection: Connection[TupleRow], held: Mapping[Market, LoadedModel]
) -> Mapping[Market, LoadedModel]:
    """Return every market's active model; only those that `held` lacks or has another one of are read.

    The same mapping when nothing changed. A model that cannot be used is held with its problem, and tried again by the
    next call: its bytes may be restored.
    """
    rows = connection.execute(
        "SELECT exchange, symbol, timeframe, model_id, checksum FROM signal_models WHERE status = 'ACTIVE'"
    ).fetchall()
    active: dict[Market, LoadedModel] = {}
    for *names, model_id, checksum in rows:
        market = Market(*names)
        known = held.get(market)
        if known is None or (known.model_id, known.checksum, known.problem) != (model_id, checksum, None):
            known = _loaded(connection, model_id, checksum, known)
        if known is not None:
            active[market] = known
    unchanged = held.keys() == active.keys() and all(held[market] is found for market, found in active.items())
    return held if unchanged else active


def _loaded(
    connection: Connection[TupleRow], model_id: str, checksum: str, known: LoadedModel | None
) -> LoadedModel | None:
    try:
        return LoadedModel(model_id, checksum, load_model(connection, model_id))
    except LookupError:
        # Deleted since it was listed.
        return None
    except ValueError as error:
        found = LoadedModel(model_id, checksum, None, str(error))
        return known if known == found else found


def _retire_active(connection: Connection[TupleRow], market: Market) -> bool:
    retired = connection.execute(
        "UPDATE signal_models SET status = 'RETIRED', retired_at = clock_timestamp() "
        "WHERE (exchange, symbol, timeframe) = (%s, %s, %s) AND status = 'ACTIVE'",
        market,
    )
    return retired.rowcount == 1


@contextmanager
def _changing(connection: Connection[TupleRow], market: Market) -> Iterator[None]:
    """Let one transaction at a time change which model of a market speaks."""
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('signal_models ' || %s || ' ' || %s || ' ' || %s, 0))",
            market,
        )
        yield
