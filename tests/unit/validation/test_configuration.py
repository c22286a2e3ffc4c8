"""A configuration's hash and its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alpharay.backtest.costs import Costs
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import FROZEN, LastGate, configuration_hash, configuration_json


def test_an_equal_configuration_has_the_same_hash():
    assert configuration_hash(FROZEN) == configuration_hash(replace(FROZEN))


@pytest.mark.parametrize(
    "change",
    [
        {"permutations": 59},
        {"level": 0.06},
        {"timeframe": "2h"},
        {"costs": Costs(fee=0.002)},
        {"strategies": FROZEN.strategies[:1]},
        {"last_gate": LastGate(min_trades=31)},
        {"search": replace(FROZEN.search, population=60)},
    ],
)
def test_whatever_changes_the_decision_changes_the_hash(change):
    assert configuration_hash(replace(FROZEN, **change)) != configuration_hash(FROZEN)


def test_a_changed_rule_under_the_same_name_changes_the_hash():
    strategy = strategy_named("SMA_EMA_CROSSOVER")
    one, other = (
        replace(FROZEN, strategies=(item,))
        for item in (strategy, replace(strategy, enter=strategy.exit, exit=strategy.enter))
    )
    assert configuration_hash(one) != configuration_hash(other)


def test_the_json_names_every_setting():
    json = configuration_json(FROZEN)
    assert json["last_gate"]["min_trades"] == 30
    assert json["search"]["population"] == FROZEN.search.population
    assert json["strategies"][0]["enter"]


def test_settings_that_could_never_promote_are_refused():
    with pytest.raises(ValueError, match="permutations of the permutation test must be at least 19"):
        replace(FROZEN, permutations=18)
    with pytest.raises(ValueError, match="permutations of the last gate must be at least 4"):
        LastGate(permutations=3)
    with pytest.raises(ValueError, match="level of the permutation test must be in"):
        replace(FROZEN, level=0.0)
    with pytest.raises(ValueError, match="at least one strategy"):
        replace(FROZEN, strategies=())
    with pytest.raises(ValueError, match="train_fraction must be below 1"):
        replace(FROZEN, search=replace(FROZEN.search, train_fraction=1.0))
    with pytest.raises(ValueError, match="min_days of the last gate must be at least 2, was 1"):
        LastGate(min_days=1)
