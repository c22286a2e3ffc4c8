"""The notebook's code runs from top to bottom, and its story comes true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alpharay.market.files import write_candles
from alpharay.market.sample import sample_candles
from alpharay.validation.validation import Validation

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "discover_and_validate.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_planted_edge_is_validated_and_the_market_without_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in code_cells():
        exec(compile(cell, str(NOTEBOOK), "exec"), names)
    validation, rejected = names["validation"], names["rejected"]
    assert isinstance(validation, Validation)
    assert validation.status == "VALIDATED", validation.verdict.text
    assert rejected.status == "REJECTED", rejected.verdict.text
    report = (tmp_path / "discover_and_validate.html").read_text(encoding="utf-8")
    assert validation.verdict.text in report


def test_a_file_of_candles_takes_the_place_of_the_generated_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_candles(sample_candles()[0].tail(1_500), tmp_path / "SPX-USD_1d.parquet")
    cells = code_cells()
    setting = 'CANDLES: Path | None = None\nTIMEFRAME = "1h"'
    assert setting in cells[0]
    cells[0] = cells[0].replace(setting, f'CANDLES = Path("{file.name}")\nTIMEFRAME = "1d"')
    names: dict[str, Any] = {}
    for cell in cells[:3]:
        exec(compile(cell, str(NOTEBOOK), "exec"), names)
    assert names["candles"].symbol == "SPX/USD"
    assert len(names["found"]) == 3
