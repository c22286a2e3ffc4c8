"""A minimum holding is part of a strategy: its parameters, its JSON, its identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.expression import P
from alpharay.strategies.strategy import Integer, Real, strategy_id, with_minimum_holding

SMA_RSI = CATALOGUE["SMA_RSI"]


def test_a_strategy_without_one_keeps_its_json_and_its_identity():
    json = strategy_to_json(SMA_RSI)
    assert "minimum_holding" not in json
    assert strategy_to_json(replace(SMA_RSI, minimum_holding=0.0)) == json
    # Written down when there was no minimum holding yet: a stored strategy keeps its id.
    known = "0a77aff23f2142fe905d677a25c5dafbfdc21eb5eb4469b496f3326c170187c4"
    assert strategy_id(json, SMA_RSI.defaults, "SPX/USD", "1d") == known


def test_a_fixed_one_is_in_json_and_identity_and_takes_no_parameter():
    held = replace(SMA_RSI, minimum_holding=5)
    assert strategy_from_json(strategy_to_json(held)) == held
    assert held.parameter_names == SMA_RSI.parameter_names
    assert held.minimum_holdings(np.zeros((3, 4))).tolist() == [5, 5, 5]
    ids = {strategy_id(strategy_to_json(one), one.defaults, "A/USD", "1h") for one in (held, SMA_RSI)}
    assert len(ids) == 2
    assert strategy_to_json(replace(SMA_RSI, minimum_holding=5.0))["minimum_holding"].__class__ is int


def test_the_search_can_choose_one():
    held = with_minimum_holding(SMA_RSI, 0, 240, default=10)
    assert held.parameters == (*SMA_RSI.parameters, Integer("holding", 0, 240, default=10))
    assert strategy_from_json(strategy_to_json(held)) == held
    genomes = np.array([held.genome({**held.defaults, "holding": bars}) for bars in (0, 7, 240)])
    assert held.minimum_holdings(genomes).tolist() == [0, 7, 240]
    with pytest.raises(ValueError, match=r"holding must be in \[0, 240\], was 241"):
        held.check({**held.defaults, "holding": 241})


def test_a_parameter_may_be_a_rules_and_the_minimum_holding_at_once():
    held = replace(SMA_RSI, minimum_holding=P.rsi)
    assert held.minimum_holdings(held.genome(held.defaults)[None, :]).tolist() == [14]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(SMA_RSI, minimum_holding=-1), "whole number of bars from 0 up, was -1"),
        (lambda: replace(SMA_RSI, minimum_holding=2.5), "whole number of bars from 0 up, was 2.5"),
        (lambda: replace(SMA_RSI, minimum_holding=float("nan")), "whole number of bars from 0 up, was nan"),
        (lambda: replace(SMA_RSI, minimum_holding=float("inf")), "whole number of bars from 0 up, was inf"),
        (lambda: replace(SMA_RSI, minimum_holding=P.unknown), "rules use .*unknown"),
        (lambda: replace(SMA_RSI, minimum_holding=P.oversold), "parameter oversold is a minimum_holding"),
        (lambda: with_minimum_holding(SMA_RSI, -3, 5, default=1), "Integer from 0 up"),
        (lambda: with_minimum_holding(with_minimum_holding(SMA_RSI, 0, 5, 1), 0, 5, 1), "already"),
        (
            lambda: with_minimum_holding(
                replace(SMA_RSI, parameters=(*SMA_RSI.parameters, Real("holding", 0.0, 1.0, 0.5)),
                        enter=SMA_RSI.enter & (SMA_RSI.enter.left.left > P.holding)),
                0, 5, 1,
            ),
            "declared twice",
        ),
    ],
)  # fmt: skip
def test_one_that_cannot_be_is_refused_by_name_and_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
