"""What a search writes besides what it stores."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from alpharay.cli.main import app
from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.sample import sample_candles
from alpharay.strategies.catalogue import strategy_named
from ray_jobs.result_files import NO_FILES, ResultFiles, write_results


def test_a_report_and_a_table_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    search = SearchSettings(population=6, generations=1, top_n=2)
    found = discover(strategy_named("SMA_EMA_CROSSOVER"), sample_candles()[0].tail(600), search)
    files = ResultFiles(report=tmp_path / "a" / "report.html", output=tmp_path / "b" / "champions.arrow")
    written = write_results(files, [found], run_id="run-1")
    assert set(written) == {"report", "table"}
    assert "run-1" in Path(written["report"]).read_text(encoding="utf-8")
    assert len(pl.read_ipc(written["table"])) == len(found.champions)
    assert write_results(NO_FILES, [found]) == {}
    assert not NO_FILES
    assert files


def test_a_table_of_another_kind_is_refused_before_anything_is_searched() -> None:
    with pytest.raises(ValueError, match=r"must end in \.parquet, \.arrow, \.csv, was '\.xls'"):
        ResultFiles(output=Path("a.xls"))
    for command in ("discover", "evolve"):
        result = CliRunner().invoke(app, [command, "--symbol", "SPX", "--output", "a.xls"])
        assert result.exit_code == 2
        assert "must end in .parquet" in result.stderr


def test_a_pool_s_search_has_no_report() -> None:
    result = CliRunner().invoke(app, ["discover", "--pool", "A,B", "--report", "r.html"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "give --symbol instead of --pool" in result.output
