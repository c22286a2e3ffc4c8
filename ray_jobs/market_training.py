"""Train the signal models of stored markets: read the candles, train what is not known yet, store, activate."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.market.candles import Candles
from alpharay.models.signal_model import SignalModel, SignalModelSettings
from alpharay.models.signal_model_codec import training_id
from alpharay.models.signal_model_training import train_signal_model
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_newest_candles
from alpharay.store.database import DatabasePool, in_transaction
from alpharay.store.model_registry import CANDIDATE, StoredModel, activate_model, find_model, prune_models, store_model


@dataclass(frozen=True, slots=True)
class TrainingAsked:
    """One model to train."""

    model_id: str
    candles: Candles
    settings: SignalModelSettings


@dataclass(frozen=True, slots=True)
class TrainingDone:
    """A trained model, or why there is none."""

    asked: TrainingAsked
    model: SignalModel | None
    problem: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class MarketTrained:
    """What became of one market."""

    market: Market
    model_id: str
    model: StoredModel | None
    """As it is stored; None in a dry run that trained it, and where there is none."""
    trained: SignalModel | None
    """None where it was known before."""
    activated: bool
    problem: str | None
    seconds: float


Trainer = Callable[[Iterable[TrainingAsked]], Iterator[TrainingDone]]
"""Trains each and yields it when it is done; it takes the next when it has a place for it."""


def train(asked: TrainingAsked) -> TrainingDone:
    """Train one model in this process."""
    began = time.monotonic()
    try:
        model, problem = train_signal_model(asked.candles, asked.settings), None
    except ValueError as error:
        model, problem = None, str(error)
    return TrainingDone(asked, model, problem, time.monotonic() - began)


def train_one_by_one(asked: Iterable[TrainingAsked]) -> Iterator[TrainingDone]:
    """Train in this process."""
    return map(train, asked)


def train_markets(
    pool: DatabasePool,
    markets: Sequence[Market],
    settings: SignalModelSettings,
    trainer: Trainer,
    *,
    candles: int,
    activate: bool,
    dry_run: bool = False,
) -> Generator[MarketTrained]:
    """Train each market's model on its newest `candles` and yield it when it is stored.

    The same candles and settings again are not trained again. With `activate`, what the gate lets pass speaks at once.
    """
    known: list[MarketTrained] = []

    def wanted() -> Iterator[TrainingAsked]:
        for market in markets:
            with pool.connection() as connection:
                read = load_newest_candles(connection, market, candles)
            model_id = training_id(read, settings)
            stored = in_transaction(pool, partial(_known, model_id=model_id, activate=activate and not dry_run))
            if stored is None:
                yield TrainingAsked(model_id, read, settings)
            else:
                known.append(MarketTrained(market, model_id, stored[0], None, stored[1], None, 0.0))

    for done in trainer(wanted()):
        yield _stored(pool, done, activate=activate, dry_run=dry_run)
    yield from known
    if not dry_run:
        in_transaction(pool, prune_models)


def _stored(pool: DatabasePool, done: TrainingDone, *, activate: bool, dry_run: bool) -> MarketTrained:
    read, model_id = done.asked.candles, done.asked.model_id
    market = Market(read.exchange, read.symbol, read.timeframe)
    if done.model is None or dry_run:
        return MarketTrained(market, model_id, None, done.model, False, done.problem, done.seconds)
    stored, activated = in_transaction(pool, partial(_store, model_id=model_id, model=done.model, activate=activate))
    return MarketTrained(market, model_id, stored, done.model, activated, None, done.seconds)


def _store(
    connection: Connection[TupleRow], model_id: str, model: SignalModel, *, activate: bool
) -> tuple[StoredModel, bool]:
    store_model(connection, model_id, model)
    activated = activate and model.card.evidence.promoted and activate_model(connection, model_id)
    return find_model(connection, model_id), activated


def _known(connection: Connection[TupleRow], model_id: str, *, activate: bool) -> tuple[StoredModel, bool] | None:
    """Return a model that was trained before, and whether it speaks only since now; None for a new one."""
    try:
        stored = find_model(connection, model_id)
    except LookupError:
        return None
    activated = activate and stored.status == CANDIDATE and activate_model(connection, model_id)
    return find_model(connection, model_id), activated
