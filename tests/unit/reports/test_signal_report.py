"""The page about signals: what it says where there is much, little or nothing to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alpharay.analytics.decisions import DecisionRow, MarketName, StrategySet, decisions_of
from alpharay.analytics.record import AppliedTerms, Chosen, SignalRecord
from alpharay.reports.signal_report import signal_report, write_signal_report

SOL, BTC = MarketName("binance", "SOL/USD", "1h"), MarketName("binance", "BTC/<b>", "1h")


def record_of(returns: list[float]) -> SignalRecord:
    rows = [
        DecisionRow(SOL if place % 2 else BTC, StrategySet(("one",)), 1, 0.3, place * 40, place * 40 + 24, net)
        for place, net in enumerate(returns)
    ]
    return SignalRecord(
        days=7.0,
        decisions=decisions_of(rows),
        endings={(SOL, "BUY", "HORIZON"): len(rows)},
        terms={AppliedTerms(24, 0.001, 0.0002): len(rows)},
        strategy_names={"one": "MACD <script>"},
    )


@pytest.mark.parametrize(
    ("mean", "told"),
    [(0.02, "They earned more than they cost."), (-0.02, "They lost."), (0.0, "cannot be told from nothing")],
)
def test_it_says_what_the_interval_allows(mean: float, told: str) -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.01, 100)
    page = signal_report(record_of((mean + noise - noise.mean()).tolist()), Chosen())
    assert told in page
    assert "100 independent ones" not in page
    assert "100.0 independent ones" in page


def test_names_are_text_and_the_file_asks_nobody() -> None:
    page = signal_report(record_of([0.01, 0.02]), Chosen())
    assert "MACD &lt;script&gt;" in page
    assert "BTC/&lt;b&gt;" in page
    assert "default-src 'none'" in page


def test_one_market_can_be_chosen() -> None:
    page = signal_report(record_of([0.01, 0.02, 0.03]), Chosen(symbol="SOL/USD"))
    assert "1 signals with an outcome were 1 decisions" in page
    assert "Too few to say" in page


def test_without_outcomes_it_says_so(tmp_path: Path) -> None:
    file = write_signal_report(SignalRecord(days=1.0), Chosen(), tmp_path / "new" / "signals.html")
    page = file.read_text()
    assert "No BUY or SELL has an outcome yet." in page
    assert "no outcome yet" in page
