"""Model states in PostgreSQL: bit for bit, the newest wins, the same again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from alpharay.models.change_points import ChangePointSettings, ChangePointState, observed, regime_prior
from alpharay.models.hedge_ratio import fit_hedge
from alpharay.models.volatility_fit import fit_volatility
from alpharay.store.migrate import migrate
from alpharay.store.risk_models import ModelKey, RiskModel, load_models, model_times, store_model

RETURNS = np.random.default_rng(5).normal(0.0, 0.01, 400)
KEY = ModelKey("volatility", "simulated", "BTC/USD", "", "1h")


@pytest.fixture
def connection(database: str) -> Iterator[Connection[TupleRow]]:
    migrate(database)
    with psycopg.connect(database) as opened:
        yield opened


def volatility(decided_at: int = 1_000) -> RiskModel:
    return RiskModel(key=KEY, state=fit_volatility(RETURNS), decided_at=decided_at, diagnostics={"returns": 400})


def test_every_kind_of_state_comes_back_bit_for_bit(connection: Connection[TupleRow]) -> None:
    changes = observed(ChangePointState(settings=ChangePointSettings(prior=regime_prior(RETURNS))), RETURNS)
    hedge = fit_hedge(np.cumsum(RETURNS), np.cumsum(RETURNS[::-1]))
    written = [
        RiskModel(key=KEY._replace(kind="change_points"), state=changes, decided_at=7),
        RiskModel(key=KEY._replace(kind="hedge_ratio", against="ETH/USD"), state=hedge, decided_at=8),
        volatility(),
    ]
    assert all(store_model(connection, model) for model in written)
    models, problems = load_models(connection)
    assert problems == {}
    assert [model.key for model in models] == [model.key for model in written]
    assert models[1].state == hedge
    assert models[2].state == written[2].state
    assert models[2].diagnostics == {"returns": 400}
    read = models[0].state
    assert isinstance(read, ChangePointState)
    for name in ("lengths", "probabilities", "means", "squares"):
        assert getattr(read, name).tolist() == getattr(changes, name).tolist()
    assert set(model_times(connection)) == {model.key for model in written}


def test_the_same_again_and_an_older_one_change_nothing_a_newer_one_wins(connection: Connection[TupleRow]) -> None:
    assert store_model(connection, volatility(1_000))
    before = model_times(connection)
    assert not store_model(connection, volatility(1_000))
    assert not store_model(connection, volatility(999))
    assert model_times(connection) == before
    corrected = replace(volatility(1_000), diagnostics={"returns": 401})
    assert store_model(connection, corrected)
    assert store_model(connection, volatility(2_000))
    assert load_models(connection)[0][0].decided_at == 2_000
    assert model_times(connection)[KEY] > before[KEY]


def test_only_the_wanted_models_are_read(connection: Connection[TupleRow]) -> None:
    other = KEY._replace(symbol="ETH/USD")
    store_model(connection, volatility())
    store_model(connection, replace(volatility(), key=other))
    assert [model.key for model in load_models(connection, [other])[0]] == [other]
    assert load_models(connection, []) == ([], {})


def test_a_state_of_another_version_is_left_out_and_told(connection: Connection[TupleRow]) -> None:
    store_model(connection, volatility())
    connection.execute("UPDATE risk_models SET version = 99")
    models, problems = load_models(connection)
    assert models == []
    assert problems == {KEY: "version of a stored state must be 1, was 99: calibrate again"}


def test_a_state_under_the_name_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind of a FittedVolatility is not 'hedge_ratio'"):
        replace(volatility(), key=KEY._replace(kind="hedge_ratio"))
