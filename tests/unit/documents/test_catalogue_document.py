"""docs/strategies.md is the catalogue as it is now, and its charts show what the strategies do."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from alpharay.documents.catalogue import catalogue_document
from alpharay.documents.trade_chart import BARS, trade_chart
from alpharay.indicators.registry import INDICATORS
from alpharay.market.sample import sample_candles
from alpharay.strategies.catalogue import CATALOGUE, NOTES
from alpharay.strategies.expression import close, ta
from alpharay.strategies.strategy import Strategy

DOCS = Path(__file__).resolve().parents[3] / "docs"
LARGEST_CHART = 20_000


def test_the_committed_document_is_up_to_date() -> None:
    assert (DOCS / "strategies.md").read_text(encoding="utf-8") == catalogue_document(), "run `make docs`"


def test_every_strategy_has_a_small_chart_and_no_chart_is_left_over() -> None:
    charts = sorted((DOCS / "charts").glob("*.svg"))
    assert [chart.stem for chart in charts] == sorted(CATALOGUE)
    assert [chart.name for chart in charts if chart.stat().st_size > LARGEST_CHART] == []
    for chart in charts:
        ET.parse(chart)


def test_rules_parameters_constraints_notes_and_indicators_are_told() -> None:
    text = catalogue_document()
    section = text[text.index("## SMA_RSI\n") :].split("\n## ")[0]
    assert "- Enter: `rsi(rsi) < oversold and sma(ma, of rsi(rsi)) < oversold`" in section
    assert "| `overbought` (real) | 60 | 85 | 70 |" in section
    assert "Required: `oversold < overbought`." in section
    assert f"*Not as in TradeStream:* {NOTES['SMA_RSI']}" in section
    assert "[rsi](#indicator-rsi)" in section
    assert '<a id="indicator-rsi"></a>`rsi(length)` | close |' in text
    used = frozenset[str]().union(*(strategy.indicators for strategy in CATALOGUE.values()))
    assert [name for name in used if not INDICATORS[name].function.__doc__] == []


def test_every_note_is_about_a_strategy_of_the_catalogue() -> None:
    assert NOTES.keys() <= CATALOGUE.keys()


@pytest.mark.parametrize("name", ["MACD_CROSSOVER", "SMA_EMA_CROSSOVER"])
def test_a_chart_is_the_same_each_time_and_shows_a_few_trades(name: str) -> None:
    strategy = CATALOGUE[name]
    chart = trade_chart(strategy, sample_candles())
    assert chart == trade_chart(strategy, sample_candles())
    entries = chart.split('fill="#1a7f37"/>')[0].rsplit('<path d="', 1)[1].count("z")
    assert entries >= 3


def test_a_strategy_that_never_trades_says_so() -> None:
    never = Strategy("NEVER", "", (), close > 1e9, close < ta.sma(20))
    chart = trade_chart(never, sample_candles())
    assert "No trade with the defaults" in chart
    ET.fromstring(chart)


def test_fewer_candles_than_a_year_are_drawn_as_they_are() -> None:
    strategy = CATALOGUE["SMA_EMA_CROSSOVER"]
    chart = trade_chart(strategy, [sample_candles()[0].tail(BARS // 5)])
    ET.fromstring(chart)
