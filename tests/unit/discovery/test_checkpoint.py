from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from market_series import random_walk

from alpharay.backtest.costs import Costs
from alpharay.discovery.checkpoint import Checkpoint, CheckpointError, checkpoint_bytes, checkpoint_from, joined
from alpharay.discovery.report import DiscoveryReport
from alpharay.discovery.search import SearchSettings, discover, discover_all
from alpharay.strategies.catalogue import CATALOGUE

CANDLES = random_walk(1500)
SETTINGS = SearchSettings(population=40, islands=2, generations=9, seed=3, min_trades=1, migration_interval=3)
STRATEGIES = [CATALOGUE["SMA_RSI"], CATALOGUE["DONCHIAN_BREAKOUT"]]


def only(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Return the searches of one strategy, as each run stores them."""
    return Checkpoint(tuple(item for item in checkpoint.searches if item.strategy_name == name))


def found_by(report: DiscoveryReport) -> tuple[Any, ...]:
    return report.champions, report.evaluations, report.stop_reason, [item.best for item in report.log]


@pytest.fixture(scope="module")
def saved() -> tuple[list[DiscoveryReport], list[bytes]]:
    kept: list[bytes] = []
    reports = discover_all(
        STRATEGIES, CANDLES, SETTINGS, on_checkpoint=lambda taken: kept.append(checkpoint_bytes(taken))
    )
    return reports, kept


def test_a_search_resumed_from_any_of_its_checkpoints_ends_as_the_undisturbed_one(
    saved: tuple[list[DiscoveryReport], list[bytes]],
) -> None:
    reports, kept = saved
    assert len(kept) == 9
    for data in kept:
        resumed = discover_all(STRATEGIES, CANDLES, SETTINGS, resume=checkpoint_from(data))
        assert [found_by(report) for report in resumed] == [found_by(report) for report in reports]


def test_one_search_of_several_is_resumed_by_itself_and_the_others_begin_anew(
    saved: tuple[list[DiscoveryReport], list[bytes]],
) -> None:
    reports, kept = saved
    half = only(checkpoint_from(kept[4]), "SMA_RSI")
    alone = discover(STRATEGIES[0], CANDLES, SETTINGS, resume=half)
    assert found_by(alone) == found_by(reports[0])
    both = discover_all(STRATEGIES, CANDLES, SETTINGS, resume=half)
    assert [found_by(report) for report in both] == [found_by(report) for report in reports]
    late = only(checkpoint_from(kept[7]), "DONCHIAN_BREAKOUT")
    mixed = discover_all(STRATEGIES, CANDLES, SETTINGS, resume=joined([half, late]))
    assert [found_by(report) for report in mixed] == [found_by(report) for report in reports]


def test_a_search_that_its_time_budget_ended_goes_on_as_if_it_had_not() -> None:
    kept: list[Checkpoint] = []
    search = STRATEGIES[0]
    for _ in range(9):
        discover(
            search, CANDLES, SETTINGS, time_budget_s=0.0, resume=kept[-1] if kept else None, on_checkpoint=kept.append
        )
    assert found_by(discover(search, CANDLES, SETTINGS, resume=kept[-1])) == found_by(
        discover(search, CANDLES, SETTINGS)
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"settings": replace(SETTINGS, seed=4)}, "seed was 3, here it is 4"),
        ({"candles": random_walk(1500, seed=1)}, "candles of AAA/USD"),
        ({"costs": Costs(fee=0.002)}, "costs"),
        ({"strategy": replace(STRATEGIES[0], exit=STRATEGIES[0].enter, enter=STRATEGIES[0].exit)}, "strategy"),
    ],
)
def test_a_checkpoint_of_another_search_is_refused_by_what_differs(
    saved: tuple[list[DiscoveryReport], list[bytes]], changed: dict[str, Any], named: str
) -> None:
    same = {"strategy": STRATEGIES[0], "candles": CANDLES, "settings": SETTINGS}
    with pytest.raises(CheckpointError, match=named):
        discover(**{**same, **changed}, resume=checkpoint_from(saved[1][3]))


def test_damaged_foreign_or_other_versions_bytes_are_refused(
    saved: tuple[list[DiscoveryReport], list[bytes]],
) -> None:
    data = saved[1][3]
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint_from(b"something else")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint_from(data[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint_from(data[:-1] + bytes([data[-1] ^ 1]))
    version = len(b"alpharay-checkpoint")
    with pytest.raises(CheckpointError, match="version must be 1, was 7"):
        checkpoint_from(data[:version] + b"\0\7" + data[version + 2 :])


def test_a_checkpoint_is_small(saved: tuple[list[DiscoveryReport], list[bytes]]) -> None:
    assert len(saved[1][-1]) < 60_000
