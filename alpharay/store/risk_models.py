"""The newest state of each fitted model of a market or a pair: what a calibration writes and a replica reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.models.change_points import ChangePointState
from alpharay.models.hedge_ratio import HedgeState
from alpharay.models.stored_state import state_from_json, state_to_json
from alpharay.models.volatility import FittedVolatility

ModelState = FittedVolatility | ChangePointState | HedgeState

KINDS: Mapping[str, type[ModelState]] = {
    "volatility": FittedVolatility,
    "change_points": ChangePointState,
    "hedge_ratio": HedgeState,
}

_KIND_OF: Mapping[type[ModelState], str] = {state: kind for kind, state in KINDS.items()}

_STORE = """
INSERT INTO risk_models (kind, exchange, symbol, against, timeframe, decided_at, version, state, diagnostics)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb)
ON CONFLICT (kind, exchange, symbol, against, timeframe) DO UPDATE SET
    decided_at = excluded.decided_at, version = excluded.version, state = excluded.state,
    diagnostics = excluded.diagnostics, fitted_at = clock_timestamp()
WHERE risk_models.decided_at <= excluded.decided_at
    AND (risk_models.decided_at, risk_models.version, risk_models.state, risk_models.diagnostics)
        IS DISTINCT FROM (excluded.decided_at, excluded.version, excluded.state, excluded.diagnostics)
"""

_LOAD = """
SELECT kind, exchange, symbol, against, timeframe, decided_at, version, state, diagnostics, fitted_at FROM risk_models
"""

_CHANGED = f"""{_LOAD} WHERE (kind, exchange, symbol, against, timeframe) IN (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]))"""


class ModelKey(NamedTuple):
    """Whose model it is; `against` is the second symbol of a pair, empty for a model of one market."""

    kind: str
    exchange: str
    symbol: str
    against: str
    timeframe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskModel:
    """A fitted model.

    Parameters
    ----------
    key : ModelKey
    state : FittedVolatility, ChangePointState or HedgeState
    decided_at : int
        Open time of the newest candle that the state has seen, UTC ms.
    diagnostics : Mapping
        What the fit says of itself, as JSON values.
    fitted_at : datetime or None
        When it was stored; None before.
    """

    key: ModelKey
    state: ModelState
    decided_at: int
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    fitted_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.key.kind != _KIND_OF[type(self.state)]:
            raise ValueError(f"kind of a {type(self.state).__name__} is not {self.key.kind!r}")


def store_model(connection: Connection[TupleRow], model: RiskModel) -> bool:
    """Store a model in the connection's transaction; False when the stored one is newer or the same."""
    document = state_to_json(model.state)
    state, diagnostics = (msgspec.json.encode(value).decode() for value in (document["state"], model.diagnostics))
    row = (*model.key, model.decided_at, document["version"], state, diagnostics)
    return connection.execute(_STORE, row).rowcount == 1


def model_times(connection: Connection[TupleRow]) -> dict[ModelKey, datetime]:
    """Return when each model was stored last: which of them a copy must read again."""
    rows = connection.execute(
        "SELECT kind, exchange, symbol, against, timeframe, fitted_at FROM risk_models"
    ).fetchall()
    return {ModelKey(*row[:5]): row[5] for row in rows}


def load_models(
    connection: Connection[TupleRow], keys: Iterable[ModelKey] | None = None
) -> tuple[list[RiskModel], dict[ModelKey, str]]:
    """Return the stored models, those of `keys` or all, and why others cannot be read: they were made by other code."""
    if keys is None:
        rows = connection.execute(_LOAD).fetchall()
    else:
        columns = [list(column) for column in zip(*keys, strict=True)] or [[]] * len(ModelKey._fields)
        rows = connection.execute(_CHANGED, columns).fetchall()
    models: list[RiskModel] = []
    problems: dict[ModelKey, str] = {}
    for *names, decided_at, version, state, diagnostics, fitted_at in rows:
        key = ModelKey(*names)
        kind = KINDS[key.kind]
        try:
            read = state_from_json({"kind": kind.__name__, "version": version, "state": state}, kind)
        except ValueError as error:
            problems[key] = str(error)
            continue
        models.append(
            RiskModel(key=key, state=read, decided_at=decided_at, diagnostics=diagnostics, fitted_at=fitted_at)
        )
    return sorted(models, key=lambda model: model.key), problems
