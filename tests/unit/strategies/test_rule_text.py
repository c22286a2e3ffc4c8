"""Rules as text read as they were meant."""

from __future__ import annotations

import pytest

from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.expression import P, close, high, low, ta, volume
from alpharay.strategies.seasons import hour_between
from alpharay.strategies.text import rule_text

A, B, C = close > 1.0, close > 2.0, close > 3.0


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (ta.sma(P.fast).crosses_above(ta.sma(P.slow)), "sma(fast) crosses above sma(slow)"),
        (ta.sma(P.n, of=volume) > volume.previous() * P.more, "sma(n, of volume) > previous(volume) * more"),
        (close.previous(3) >= 0.1 + 0.2, "previous(close, 3) >= 0.3"),
        (ta.obv() < ta.ema(5, of=ta.obv()), "obv < ema(5, of obv)"),
        (ta.atr(5, of=(high, low, high)) < 1e-7, "atr(5, of (high, low, high)) < 1e-07"),
        (close - (high - low) > (close - high) - low, "close - (high - low) > close - high - low"),
        ((close + high) / (low * 2.0) > 1.0, "(close + high) / (low * 2) > 1"),
        (A & B & C, "close > 1 and close > 2 and close > 3"),
        ((A | B) & C, "(close > 1 or close > 2) and close > 3"),
        (A | B & C, "close > 1 or (close > 2 and close > 3)"),
        (~(A & B), "not (close > 1 and close > 2)"),
        (~A & ~~B, "not close > 1 and not (not close > 2)"),
        (hour_between(22, 3), "hour_of_day >= 22 or hour_of_day <= 3"),
    ],
)  # fmt: skip
def test_a_rule_reads_as_it_was_written(rule, text):
    assert rule_text(rule) == text


def test_numbers_stand_for_names_where_they_are_given():
    rule = CATALOGUE["SMA_RSI"].enter
    assert rule_text(rule) == "rsi(rsi) < oversold and sma(ma, of rsi(rsi)) < oversold"
    assert rule_text(rule, {"rsi": 14, "oversold": 30.5}) == "rsi(14) < 30.5 and sma(ma, of rsi(14)) < 30.5"


def test_every_rule_of_the_catalogue_has_a_text_of_its_own():
    texts = [tuple(rule_text(rule) for rule in strategy.rules) for strategy in CATALOGUE.values()]
    assert len(set(texts)) == len(texts)
