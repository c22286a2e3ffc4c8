"""Discovered strategies as people meet them: found, validated, shown, compared, exported, imported, reported."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from discovery_stack import candles, current, job, pool, symbol  # noqa: F401 - fixtures
from typer.testing import CliRunner

from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import backtest_strategy
from alpharay.cli.main import app
from alpharay.discovery.rule_evolution import EvolutionSettings, evolve_rules
from alpharay.discovery.search import SearchSettings
from alpharay.market.candles import Candles
from alpharay.settings import Settings, settings
from alpharay.store.database import DatabasePool
from alpharay.store.runs import run_state
from alpharay.store.strategies import best_strategies
from alpharay.strategies.codec import strategy_from_json
from ray_jobs.backtest_worker import RayExecutor
from ray_jobs.consume import consume_once

pytestmark = pytest.mark.timeout(300)

Run = Callable[..., str]
SEARCH = ("--timeframe", "1d", "--population", "20", "--generations", "3", "--seed", "7", "--workers", "0")


@pytest.fixture
def run(current: Settings, pool: DatabasePool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs a command on the test's servers and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "kafka_bootstrap_servers", "redis_url"):
        monkeypatch.setenv(f"ALPHARAY_{name.upper()}", current.require(name))
    settings.cache_clear()

    def command(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    yield command
    settings.cache_clear()


def told(output: str) -> Any:
    return json.loads(output)


def consume(current: Settings, pool: DatabasePool, symbol: str) -> None:
    """Store what waits in Kafka; what other tests have found is removed, for they share the topics."""
    consume_once(current)
    with pool.connection() as connection:
        others = "SELECT strategy_id FROM strategies WHERE symbol <> %s"
        connection.execute(f"DELETE FROM strategy_evidence WHERE strategy_id IN ({others})", (symbol,))
        connection.execute("DELETE FROM strategies WHERE symbol <> %s", (symbol,))


def stored_ids(pool: DatabasePool) -> list[str]:
    with pool.connection() as connection:
        return [item.strategy_id for item in best_strategies(connection, limit=1000)]


def test_from_discovery_to_another_installation_and_back_to_a_report(
    run: Run, current: Settings, pool: DatabasePool, candles: Candles, symbol: str, tmp_path: Path
) -> None:
    names = "MACD_CROSSOVER,DOUBLE_EMA_CROSSOVER"
    files = ("--output", tmp_path / "found.parquet", "--report", tmp_path / "found.html")
    found = told(run("discover", "--symbol", symbol, "--strategies", names, "--top", 2, *SEARCH, *files, "--json"))
    run_id = found["searches"][0]["run_id"]
    assert "are still on their way" in run("report", run_id, code=2)
    consume(current, pool, symbol)
    ids = stored_ids(pool)
    assert len(ids) == 4
    assert len(pl.read_parquet(tmp_path / "found.parquet")) == 4
    assert "Nothing is validated yet" in (tmp_path / "found.html").read_text(encoding="utf-8")

    limits = ("--permutations", 19, "--most-permutations", 19, "--windows", 2, "--workers", 0)
    (validated,) = told(run("validate", ids[0], *limits, "--json"))
    shown = told(run("strategies", "show", ids[0][:12], "--json"))
    assert shown["strategy_id"] == ids[0]
    assert shown["status"] == validated["status"]
    assert shown["validations"][0]["summary"] == validated["text"]
    assert [step["to_status"] for step in shown["steps"]] == [validated["status"]]
    assert [item["run_id"] for item in shown["evidence"]] == [
        one["run_id"] for one in found["searches"] if one["strategy_name"] == shown["strategy_name"]
    ]
    text = run("strategies", "show", ids[0])
    for expected in (ids[0], validated["text"], shown["rules"]["enter"], "Sharpe ratio"):
        assert expected in text

    report = told(run("report", run_id, "--output", tmp_path / "run.html", "--json"))
    assert report["run_id"] == run_id
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert all(f'<section id="{name}">' in page for name in ("champions", "equity", "search", "permutation"))
    report = told(run("report", ids[0][:12], "--json"))
    assert (report["status"], report["verdict"]) == (validated["status"], validated["text"])
    assert Path(report["report"]).is_relative_to(tmp_path)

    backtested = told(run("backtest", ids[1], "--json"))
    with pool.connection() as connection:
        stored = {item.strategy_id: item for item in best_strategies(connection, limit=1000)}[ids[1]]
    expected = backtest_strategy(strategy_from_json(stored.strategy), stored.parameters, candles)
    assert backtested["strategy_id"] == ids[1]
    assert backtested["metrics"] == metrics_json(expected.metrics)
    compared = told(run("compare", ids[0], ids[1], "--output", tmp_path / "compared.html", "--json"))
    assert compared["strategies"][1]["metrics"] == metrics_json(expected.metrics)
    assert compared["correlations"][0][0] == pytest.approx(1.0)
    assert compared["correlations"][0][1] == compared["correlations"][1][0]
    assert (tmp_path / "compared.html").stat().st_size > 1_000_000
    assert "correlation of days" in run("compare", ids[0], ids[1])

    run("strategies", "export", tmp_path / "all.json")
    chosen = ("--status", validated["status"].lower())
    assert told(run("strategies", "export", *chosen, tmp_path / "some.arrow", "--json"))["strategies"] == [ids[0]]
    run("strategies", "export", ids[0], ids[1], tmp_path / "two.parquet")
    assert pl.read_parquet(tmp_path / "two.parquet")["strategy_id"].to_list() == ids[:2]
    assert set(told(run("strategies", "import", tmp_path / "all.json", "--json"))["known"]) == set(ids)

    with pool.connection() as connection:
        connection.execute("TRUNCATE strategies CASCADE")
    checked = told(run("strategies", "import", tmp_path / "all.json", "--dry-run", "--json"))
    assert set(checked["new"]) == set(ids)
    assert stored_ids(pool) == []
    assert "4 strategies stored as candidates, 0 were known" in run("strategies", "import", tmp_path / "all.json")
    assert stored_ids(pool) == ids
    listed = told(run("strategies", "list", "--status", "candidate", "--json"))
    assert {item["strategy_id"] for item in listed} == set(ids)
    again = told(run("report", ids[0], "--json"))
    assert again["status"] == "CANDIDATE"
    assert "Nothing is validated yet" in again["verdict"]


def test_what_is_not_there_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[]")
    for arguments, message in (
        (("report", "nothing"), "no run has the id 'nothing', and no strategy has an id that begins with 'nothing'"),
        (("strategies", "show", "abcdef"), "no strategy has an id that begins with 'abcdef'"),
        (("compare", "abcdef"), "no strategy has an id"),
        (("backtest", "abcdef"), "no strategy has an id"),
        (("backtest", "SMA_RSI", "--symbol", "NOPE"), "no candles of NOPE/USD 1d are stored"),
        (("strategies", "import", tmp_path / "broken.json"), "must have the format"),
        (("strategies", "import", tmp_path / "none.json"), "No such file"),
        (("strategies", "export", tmp_path / "all.xlsx"), "must end in .parquet, .arrow, .csv"),
    ):
        errors = run(*arguments, code=2)
        assert message in next(line for line in errors.splitlines() if line.startswith("error: ")), errors


def test_evolved_rules_are_candidates_like_others_and_say_what_was_not_tested(
    run: Run, current: Settings, pool: DatabasePool, symbol: str, tmp_path: Path
) -> None:
    options = ("--symbol", symbol, "--population", 30, "--generations", 3, "--top", 3, "--seed", 4, "--workers", 0)
    files = ("--report", tmp_path / "evolved.html", "--output", tmp_path / "evolved.parquet")
    first = told(run("evolve", *options, *files, "--json"))
    assert first["stored"] == "stored"
    assert first["evaluations"] > 30
    again = told(run("evolve", *options, "--json"))
    assert (again["run_id"], again["stored"], again["found"]) == (first["run_id"], "known", first["found"])
    consume(current, pool, symbol)
    with pool.connection() as connection:
        state = run_state(connection, first["run_id"])
        stored = best_strategies(connection, limit=10)
    assert state is not None
    assert state.status == "DONE"
    assert sorted(item.strategy_name for item in stored) == sorted(one["strategy_name"] for one in first["found"])
    assert len(pl.read_parquet(tmp_path / "evolved.parquet")) == len(stored) > 0
    for arguments in (("report", first["run_id"]), ("report", stored[0].strategy_id)):
        page = Path(told(run(*arguments, "--json"))["report"]).read_text(encoding="utf-8")
        assert "not the evolution, and is too kind to it" in page
        assert "The log of this search was not kept" not in page
    assert "not the evolution, and is too kind to it" in (tmp_path / "evolved.html").read_text(encoding="utf-8")
    (validated,) = told(run("validate", stored[0].strategy_id, "--permutations", 19, "--most-permutations", 19,
                            "--windows", 2, "--workers", 0, "--json"))  # fmt: skip
    assert validated["status"] in ("VALIDATED", "REJECTED", "INSUFFICIENT"), validated


def test_an_interrupted_evolution_keeps_what_was_found(
    current: Settings, pool: DatabasePool, symbol: str, tmp_path: Path
) -> None:
    options = ("--symbol", symbol, "--population", "60", "--generations", "500", "--patience", "500", "--workers", "0")
    with job(current, *options, "--json", module="ray_jobs.evolve", out=subprocess.PIPE) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "backtests (" in line:
                break
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert "Ctrl-C: keeping what was found so far." in errors
    found = told(output)
    assert found["stored"] == "stored"
    assert found["found"]
    with pool.connection() as connection:
        state = run_state(connection, found["run_id"])
    assert state is not None
    assert state.status == "DONE"
    assert state.request.generations < 500


def test_rules_evolve_the_same_on_ray_workers(candles: Candles, ray_cluster: str) -> None:
    evolution = EvolutionSettings(search=SearchSettings(population=20, generations=2, top_n=3, seed=4), elites=2)
    with RayExecutor(2) as executor:
        spread = evolve_rules(candles, evolution, executor=executor)
    alone = evolve_rules(candles, evolution)
    assert [(one.strategy, one.champions) for one in spread] == [(one.strategy, one.champions) for one in alone]
    assert spread
