"""Signal models with a real database and Ray: trained, activated, damaged, rolled back, saved and restored."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

import ray_jobs.market_training
import ray_jobs.train
from alpharay.cli.main import app
from alpharay.features.feature_matrix import latest_features
from alpharay.market.candles import Candles
from alpharay.models.signal_model import FeatureSetError, SignalModel, SignalModelSettings
from alpharay.models.signal_model_codec import ModelBytesError, model_to_bytes, training_id
from alpharay.models.signal_model_training import train_signal_model
from alpharay.settings import settings
from alpharay.store.candle_rows import Market
from alpharay.store.migrate import migrate
from alpharay.store.model_registry import (
    activate_model,
    find_model,
    load_model,
    prune_models,
    refreshed_models,
    retire_model,
    roll_back,
    store_model,
    stored_models,
)
from benchmarks.signal_data import store_candles
from benchmarks.signal_model import drifting_candles
from ray_jobs.market_training import TrainingAsked
from ray_jobs.training_tasks import RayTrainer

QUICK = SignalModelSettings(rounds=20, learning_rate=0.1, folds=4, bootstraps=200)
PLANTED = drifting_candles(2_500, seed=1, strength=0.6, start_ms=1_700_000_000_000 // 3_600_000 * 3_600_000)
MARKET = Market(PLANTED.exchange, PLANTED.symbol, PLANTED.timeframe)

Run = Callable[..., str]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def trained() -> list[SignalModel]:
    """Return three models of one market, each of other settings; all are promoted."""
    models = [train_signal_model(PLANTED, replace(QUICK, seed=seed)) for seed in range(3)]
    assert all(model.card.evidence.promoted for model in models)
    return models


@pytest.fixture
def database_url(database: str) -> str:
    migrate(database)
    return database


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs a command, or the training job, and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", database_url)
    settings.cache_clear()

    def command(*arguments: object, job: Any = app, code: int = 0) -> str:
        result = CliRunner().invoke(job, [str(one) for one in arguments], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    yield command
    settings.cache_clear()


def stored(database_url: str, models: list[SignalModel]) -> list[str]:
    """Store models under ids a…, b…, c… and return those."""
    ids = [letter * 64 for letter in "abc"[: len(models)]]
    with psycopg.connect(database_url) as connection:
        for model_id, model in zip(ids, models, strict=True):
            assert store_model(connection, model_id, model)
    return ids


def statuses(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return {item.model_id[0]: item.status for item in stored_models(connection)}


def test_a_planted_market_is_trained_on_ray_and_speaks_and_noise_does_not(
    ray_cluster: str, database_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = drifting_candles(2_000, seed=5, strength=0.0, symbol="NOISE/USD", start_ms=int(PLANTED.open_time[0]))
    store_candles(database_url, PLANTED)
    store_candles(database_url, noise)
    arguments = ("--workers", 2, "--candles", 2_500, "--json", "--activate")
    first = {one["symbol"]: one for one in json.loads(run(*arguments, job=ray_jobs.train.app))}
    assert {symbol: (one["status"], one["new"], one["activated"]) for symbol, one in first.items()} == {
        "DRIFT/USD": ("ACTIVE", True, True),
        "NOISE/USD": ("REJECTED", True, False),
    }
    assert first["DRIFT/USD"]["evidence"]["gain_bound"] > 0.0 > first["NOISE/USD"]["evidence"]["gain_bound"]
    again = json.loads(run(*arguments, job=ray_jobs.train.app))
    assert {one["symbol"]: (one["model_id"], one["new"]) for one in again} == {
        symbol: (one["model_id"], False) for symbol, one in first.items()
    }

    with psycopg.connect(database_url) as connection:
        held = refreshed_models(connection, {})
        assert list(held) == [MARKET]
        assert refreshed_models(connection, held) is held
    model = held[MARKET].model
    assert model is not None
    # A worker's model is that of this process, to the bit.
    here = train_signal_model(PLANTED, SignalModelSettings())
    assert held[MARKET].model_id == training_id(PLANTED, SignalModelSettings())
    assert model_to_bytes(model) == model_to_bytes(here)
    assert 0.0 < float(model.predict(latest_features(PLANTED))[0]) < 1.0

    rejected = first["NOISE/USD"]["model_id"]
    assert "is REJECTED and cannot speak" in run("models", "activate", rejected, code=2)
    shown = json.loads(run("models", "show", first["DRIFT/USD"]["model_id"][:10], "--json"))
    assert (shown["status"], shown["problem"], shown["card"]["settings"]["horizon"]) == ("ACTIVE", None, 12)
    assert "can score  yes" in run("models", "show", first["DRIFT/USD"]["model_id"])
    listed = json.loads(run("models", "list", "--status", "rejected", "--json"))
    assert [item["symbol"] for item in listed] == ["NOISE/USD"]
    assert "NOISE/USD" in run("models", "list")


class Deadly(str):
    """An id that ends the process which receives it."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def test_a_model_that_kills_its_workers_is_left_out_and_the_others_are_trained(ray_cluster: str, stack: Any) -> None:
    few = PLANTED.tail(100)
    asked = [TrainingAsked(Deadly("deadly"), few, QUICK), TrainingAsked("good", few, QUICK)]
    done = {one.asked.model_id: one.problem for one in RayTrainer(1, stack.settings())(asked)}
    assert str(done["deadly"]).startswith("its worker ended 3 times: ")
    assert str(done["good"]).startswith("labelled bars must be at least 4, were 0")


def test_what_was_trained_before_ctrl_c_is_stored(
    database_url: str, run: Run, trained: list[SignalModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_candles(database_url, PLANTED.tail(1_000))
    store_candles(database_url, replace(PLANTED.tail(1_000), symbol="LATER/USD"))
    store_candles(database_url, replace(PLANTED.tail(1), symbol="A/USD"))

    def train(candles: Candles, chosen: SignalModelSettings) -> SignalModel:
        if candles.symbol == "A/USD":
            raise ValueError("too few candles")
        if candles.symbol == "LATER/USD":
            raise KeyboardInterrupt
        return trained[0]

    monkeypatch.setattr(ray_jobs.market_training, "train_signal_model", train)
    found = json.loads(run("--workers", 0, "--json", job=ray_jobs.train.app))
    assert [(one["symbol"], one["status"], one["problem"]) for one in found] == [
        ("A/USD", "LEFT OUT", "too few candles"),
        ("DRIFT/USD", "CANDIDATE", None),
    ]
    with psycopg.connect(database_url) as connection:
        assert [item.symbol for item in stored_models(connection)] == ["DRIFT/USD"]
    dry = json.loads(run("--workers", 0, "--json", "--dry-run", "--seed", 9, job=ray_jobs.train.app))
    assert [(one["status"], one["new"]) for one in dry] == [("LEFT OUT", False), ("WOULD PASS", False)]
    with psycopg.connect(database_url) as connection:
        assert len(stored_models(connection)) == 1
    assert "no candles of NONE/USD are stored" in run("--symbol", "NONE", job=ray_jobs.train.app, code=2)


def test_one_model_speaks_and_rolling_back_goes_through_those_that_spoke(
    database_url: str, run: Run, trained: list[SignalModel]
) -> None:
    a, b, c = stored(database_url, trained)
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert not store_model(connection, a, trained[0])
        assert [activate_model(connection, one) for one in (a, b, c, c)] == [True, True, True, False]
        held = refreshed_models(connection, {})
        assert roll_back(connection, MARKET).model_id == b
        swapped = refreshed_models(connection, held)
        assert (held[MARKET].model_id, swapped[MARKET].model_id) == (c, b)
        assert json.loads(run("models", "rollback", "DRIFT", "--timeframe", "1h", "--json"))["model_id"] == a
        assert statuses(connection) == {"a": "ACTIVE", "b": "RETIRED", "c": "RETIRED"}
        with pytest.raises(LookupError, match="spoke before"):
            roll_back(connection, MARKET)
        run("models", "activate", "c")
        assert roll_back(connection, MARKET).model_id == a
        run("models", "retire", "DRIFT/USD", "--timeframe", "1h")
        assert not retire_model(connection, MARKET)
        assert refreshed_models(connection, swapped) == {}
        # With none speaking it is the last one that did; those that were rolled back do not count.
        assert roll_back(connection, MARKET).model_id == a
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("UPDATE signal_models SET status = 'ACTIVE', activated_at = now()")
        with pytest.raises(LookupError, match="no model has an id that begins with 'x'"):
            find_model(connection, "x")
    assert "no model of BTC/USD 1h is stored" in run("models", "rollback", "BTC", "--timeframe", "1h", code=2)


def test_activations_at_the_same_time_leave_one_that_speaks(database_url: str, trained: list[SignalModel]) -> None:
    ids = stored(database_url, trained)
    errors: list[BaseException] = []

    def activate(model_id: str) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as connection:
                for _ in range(10):
                    with connection.transaction():
                        activate_model(connection, model_id)
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=activate, args=(model_id,)) for model_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    with psycopg.connect(database_url) as connection:
        assert sorted(statuses(connection).values()) == ["ACTIVE", "RETIRED", "RETIRED"]
    assert errors == []


def test_damaged_bytes_are_refused_told_and_repaired_from_a_back_up(
    database_url: str, run: Run, trained: list[SignalModel], tmp_path: Path
) -> None:
    a, b = stored(database_url, trained[:2])
    run("models", "activate", a)
    run("models", "export", tmp_path / "saved.json")
    damage = "UPDATE signal_models SET model = set_byte(model, 5000, get_byte(model, 5000) # 1) WHERE model_id = %s"
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="signal_models_checksum"):
            connection.execute(damage, (a,))
        # What a disk or a careless restore can do.
        connection.execute("ALTER TABLE signal_models DROP CONSTRAINT signal_models_checksum")
        connection.execute(damage, (a,))
        connection.execute(damage, (b,))
        with pytest.raises(ModelBytesError, match="they are damaged"):
            load_model(connection, a)
        held = refreshed_models(connection, {})
        assert held[MARKET].model is None
        assert "they are damaged" in str(held[MARKET].problem)
        assert refreshed_models(connection, held) is held
        assert "they are damaged" in run("models", "activate", b, code=2)
        assert "they are damaged" in run("models", "export", tmp_path / "damaged.json", code=2)
        assert not (tmp_path / "damaged.json").exists()
        assert statuses(connection) == {"a": "ACTIVE", "b": "CANDIDATE"}

        imported = json.loads(run("models", "import", tmp_path / "saved.json", "--json"))
        assert sorted(imported["repaired"]) == [a, b]
        repaired = refreshed_models(connection, held)
        assert repaired[MARKET].model is not None
        assert model_to_bytes(repaired[MARKET].model) == model_to_bytes(trained[0])
        assert run("models", "import", tmp_path / "saved.json").startswith("0 new, 2 known, 0 repaired, 0 activated")


def test_a_file_brings_models_to_an_empty_database_all_or_none(
    database_url: str, run: Run, trained: list[SignalModel], tmp_path: Path
) -> None:
    a, b, c = stored(database_url, trained)
    for one in (a, b):
        run("models", "activate", one)
    saved = tmp_path / "saved.json"
    written = json.loads(run("models", "export", a[:3], b[:3], c[:3], saved, "--json"))
    assert written["models"] == [a, b, c]
    document = json.loads(saved.read_text())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM signal_models")
        broken = {**document, "models": [*document["models"][:2], {**document["models"][2], "checksum": "0" * 64}]}
        saved.write_text(json.dumps(broken))
        assert "model 3 of the file (cccccccccccc)" in run("models", "import", saved, code=2)
        saved.write_text(json.dumps({**document, "version": 2}))
        assert "must have the format alpharay-signal-models 1" in run("models", "import", saved, code=2)
        assert stored_models(connection) == []
        saved.write_text(json.dumps(document))
        assert json.loads(run("models", "import", saved, "--dry-run", "--json"))["new"] == [a, b, c]
        assert stored_models(connection) == []
        imported = json.loads(run("models", "import", saved, "--activate", "--json"))
        assert (imported["new"], imported["activated"]) == ([a, b, c], [b])
        assert statuses(connection) == {"a": "CANDIDATE", "b": "ACTIVE", "c": "CANDIDATE"}
        np.testing.assert_array_equal(
            load_model(connection, b).predict(latest_features(PLANTED)), trained[1].predict(latest_features(PLANTED))
        )
        # Another model under a known id is a mistake somewhere, not a repair.
        document["models"][0] = {**document["models"][2], "model_id": a}
        saved.write_text(json.dumps(document))
        assert "checksum of model aaaaaaaaaaaa must be" in run("models", "import", saved, code=2)


def test_a_model_of_other_features_never_speaks(database_url: str, trained: list[SignalModel]) -> None:
    other = replace(trained[0], card=replace(trained[0].card, feature_set="0" * 64))
    (a,) = stored(database_url, [other])
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(FeatureSetError, match=r"must be of the set .* was 000000000000"):
            activate_model(connection, a)
        # As after an update of this code, with the model speaking since before.
        connection.execute("UPDATE signal_models SET status = 'ACTIVE', activated_at = now()")
        held = refreshed_models(connection, {})
        assert held[MARKET].model is None
        assert "train again" in str(held[MARKET].problem)


def test_old_models_go_and_those_that_speak_or_spoke_last_stay(database_url: str, trained: list[SignalModel]) -> None:
    a, b, c = stored(database_url, trained)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for one in (a, b, c):
            activate_model(connection, one)
        for number in range(4):
            store_model(connection, f"{number}" * 64, trained[0])
        assert prune_models(connection, kept=4) == 0
        assert prune_models(connection, kept=1) == 4
        assert statuses(connection) == {"c": "ACTIVE", "b": "RETIRED", "3": "CANDIDATE"}
