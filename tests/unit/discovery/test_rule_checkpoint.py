"""An evolution that is cut off after any generation and gone on with ends as the undisturbed one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_rule_evolution import SMALL, ThreeWorkers, walk_with_a_habit

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import FeeTier, Frictions
from alpharay.discovery.checkpoint import CheckpointError, checkpoint_from
from alpharay.discovery.report import DiscoveryReport
from alpharay.discovery.rule_checkpoint import RuleCheckpoint, rule_checkpoint_bytes, rule_checkpoint_from
from alpharay.discovery.rule_evolution import evolve_rules
from alpharay.discovery.rule_tree import pair_from_text, random_pair, seeded

CANDLES = walk_with_a_habit(800)
SMALL = replace(SMALL, search=replace(SMALL.search, population=30, generations=4))
CHANGES = {
    "search.seed": {"search": replace(SMALL.search, seed=8)},
    "height": {"height": 4},
    "most_nodes": {"most_nodes": 9},
}


@cache
def checkpoints(**options) -> tuple[list[DiscoveryReport], list[RuleCheckpoint]]:
    kept: list[RuleCheckpoint] = []
    return evolve_rules(CANDLES, SMALL, on_checkpoint=kept.append, **options), kept


def outcome(reports: list[DiscoveryReport]) -> list[object]:
    """Return all of a result but the time that it took."""
    logs = [[replace(one, elapsed_s=0.0) for one in report.log] for report in reports]
    return [
        (report.strategy, report.champions, report.evaluations, report.stop_reason, log, report.hold_in_sample)
        for report, log in zip(reports, logs, strict=True)
    ]


@pytest.mark.parametrize("frictions", [None, Frictions(starting_capital=1e4, lot_size=0.5)])
def test_resumed_after_any_generation_an_evolution_ends_as_the_undisturbed_one(frictions: Frictions | None) -> None:
    whole, kept = checkpoints(frictions=frictions)
    assert len(kept) == SMALL.search.generations
    for checkpoint in kept[:: 1 if frictions is None else 2]:
        read = rule_checkpoint_from(rule_checkpoint_bytes(checkpoint))
        resumed = evolve_rules(CANDLES, SMALL, resume=read, executor=ThreeWorkers(), frictions=frictions)
        assert outcome(resumed) == outcome(whole)


def test_frictions_cost_an_evolution_something() -> None:
    plain, _ = checkpoints(frictions=None)
    dear = evolve_rules(CANDLES, SMALL, frictions=Frictions(fee_tiers=(FeeTier(volume=0.0, fee=0.01),)))
    assert dear[0].frictions is not None
    assert dear[0].champions[0].score < plain[0].champions[0].score
    assert dear[0].champions[0].out_of_sample != plain[0].champions[0].out_of_sample


def test_what_the_time_budget_ended_goes_on() -> None:
    whole, _ = checkpoints(frictions=None)
    _, (first, *_) = checkpoints(time_budget_s=1e-9)
    assert (first.stop_reason, len(first.log)) == ("time_budget", 1)
    resumed = evolve_rules(CANDLES, SMALL, resume=first)
    assert [report.champions for report in resumed] == [report.champions for report in whole]
    assert resumed[0].evaluations == whole[0].evaluations


def test_one_that_has_ended_is_only_reported() -> None:
    whole, kept = checkpoints(frictions=None)
    told: list[object] = []
    assert outcome(evolve_rules(CANDLES, SMALL, resume=kept[-1], on_generation=told.append)) == outcome(whole)
    assert told == []


@pytest.mark.parametrize("name", [*CHANGES, "candles", "costs", "frictions"])
def test_a_checkpoint_of_another_evolution_is_refused_by_the_name_of_what_differs(name: str) -> None:
    _, (first, *_) = checkpoints(frictions=None)
    settings = replace(SMALL, **CHANGES.get(name, {}))  # type: ignore[arg-type]
    candles = CANDLES.slice(0, 700) if name == "candles" else CANDLES
    options = {"costs": {"costs": Costs(fee=0.0)}, "frictions": {"frictions": Frictions(starting_capital=5.0)}}
    with pytest.raises(CheckpointError, match=f"EVOLVED is of another search: its {name} was"):
        evolve_rules(candles, settings, resume=first, **options.get(name, {}))  # type: ignore[arg-type]


def test_bytes_of_a_search_or_of_nothing_are_no_evolution() -> None:
    _, (first, *_) = checkpoints(frictions=None)
    data = rule_checkpoint_bytes(first)
    for other in (b"", data[:40], data[:-1], data[:14] + b"\0\x09" + data[16:]):
        with pytest.raises(CheckpointError):
            rule_checkpoint_from(other)
    with pytest.raises(CheckpointError, match="are no checkpoint"):
        checkpoint_from(data)


def test_rules_that_this_code_does_not_know_are_refused() -> None:
    _, (first, *_) = checkpoints(frictions=None)
    other = replace(first, population=(("above(close, magic(3))", "rising(rsi(13))"), *first.population[1:]))
    with pytest.raises(CheckpointError, match="'magic' does not fit there"):
        evolve_rules(CANDLES, SMALL, resume=other)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_text_of_a_pair_gives_the_pair_back(seed: int, height: int) -> None:
    with seeded(seed):
        pair = random_pair(height)
    read = pair_from_text(str(pair.enter), str(pair.exit))
    assert str(read) == str(pair)
    for ours, theirs in ((read.enter, pair.enter), (read.exit, pair.exit)):
        assert [(type(node), node.ret, node.arity) for node in ours] == [
            (type(node), node.ret, node.arity) for node in theirs
        ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ends too soon"),
        ("above(close", "ends too soon"),
        ("rising(rsi(3)) rising(rsi(3))", "'rising' does not fit"),
        ("over(rsi(13), close)", "'close' does not fit"),
        ("over(rsi(length), 20)", "'length' does not fit"),
        ("rising(7)", "'7' does not fit"),
        ("busy(x" + "y" * 300 + ")", "'xy{39}"),
    ],
)
def test_text_that_is_no_rule_is_refused_by_the_word_that_does_not_fit(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        pair_from_text(text, "rising(rsi(3))")
    assert len(str(caught.value)) < 200
