"""The whole validation: an edge passes, noise does not, and the record is the same however it came about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from series import HOUR_MS, random_walk, waves

from alpharay.discovery.search import SearchSettings, discover
from alpharay.market.candles import Candles
from alpharay.strategies.catalogue import strategy_named
from alpharay.validation.configuration import LastGate
from alpharay.validation.ledger import Interval
from alpharay.validation.unseen import Choose
from alpharay.validation.validation import (
    Subject,
    Validation,
    ValidationSettings,
    validate_strategy,
    validation_hash,
    validation_json,
)
from alpharay.validation.verdict import GATES
from alpharay.validation.walk_forward import WalkForwardSettings

STRATEGY = strategy_named("DOUBLE_EMA_CROSSOVER")
SEARCH = SearchSettings(population=10, generations=3, min_trades=3, top_n=2, seed=2)
SETTINGS = ValidationSettings(
    permutations=39,
    walk_forward=WalkForwardSettings(windows=3),
    last_gate=LastGate(min_trades=5, min_days=20, permutations=19, level=0.3),
    sampled_trials=24,
)
SEEN_BARS = 1_800


def subject_of(candles: Candles) -> Subject:
    seen = candles.slice(0, SEEN_BARS)
    report = discover(STRATEGY, seen, SEARCH)
    return Subject(
        strategy=STRATEGY,
        parameters=report.champions[0].parameters,
        search=SEARCH,
        start_time=0,
        train_end_time=report.parts.train_end_time,
        end_time=SEEN_BARS * HOUR_MS,
    )


@pytest.fixture(scope="module")
def edge() -> Candles:
    return waves(3_000, period=120)


@pytest.fixture(scope="module")
def validated(edge: Candles) -> Validation:
    return validate_strategy(subject_of(edge), edge, SETTINGS)


def outcomes(validation: Validation) -> dict[str, str]:
    return {gate.name: gate.outcome for gate in validation.verdict.gates}


def test_a_real_edge_is_validated_with_all_its_evidence(validated: Validation) -> None:
    assert validated.status == "VALIDATED", validated.verdict.text
    assert outcomes(validated) == dict.fromkeys(GATES, "passed")
    assert validated.permutation.p_value == pytest.approx(1 / 40)
    assert validated.unseen is not None
    assert validated.unseen.interval.start == SEEN_BARS * HOUR_MS
    assert validated.unseen.days >= 20
    assert validated.unseen.trades >= 5
    assert validated.diagnostics.deflated_sharpe.probability > 0.9
    assert validated.diagnostics.overfitting is not None
    assert sum(part.days for part in validated.regimes) == SEEN_BARS // 24


def test_the_record_is_json_and_says_everything(validated: Validation) -> None:
    record = validation_json(validated)
    text = json.dumps(record, allow_nan=False)
    assert len(text) < 200_000
    assert record["verdict"]["status"] == "VALIDATED"
    assert len(record["walk_forward"]["windows"]) == 3
    assert len(record["walk_forward"]["equity"]) == len(record["walk_forward"]["days"])
    assert record["neighbourhood"]["maps"][0]["scores"]
    assert len(record["permutation"]["null"]) == 39
    assert sum(record["diagnostics"]["overfitting"]["logit_counts"]) == 12_870
    assert set(record["diagnostics"]["limits"]) == {"overfitting", "deflated_sharpe", "superior_ability"}


def test_validating_again_from_known_permutations_gives_the_same_record(edge: Candles, validated: Validation) -> None:
    told: list[int] = []
    known = [value if value is not None else float("-inf") for value in validated.permutation.null[:25]]
    again = validate_strategy(
        subject_of(edge), edge, SETTINGS, known_null=known, on_null=lambda number, _: told.append(number)
    )
    assert told == list(range(25, 39))
    assert validation_json(again) == validation_json(validated)


def test_noise_is_rejected_and_no_unseen_candles_are_spent_on_it() -> None:
    candles = random_walk(3_000, seed=8)

    def draw(within: Interval, choose: Choose) -> Interval | None:
        pytest.fail("a rejected strategy draws nothing")

    found = validate_strategy(subject_of(candles), candles, SETTINGS, draw=draw)
    assert found.status == "REJECTED"
    assert outcomes(found)["permutation"] == "failed"
    assert outcomes(found)["unseen"] == "not_reached"
    assert "Rejected" in found.verdict.text


@pytest.mark.parametrize("bars", [SEEN_BARS, SEEN_BARS + 100])
def test_an_edge_without_enough_newer_candles_is_insufficient(edge: Candles, bars: int) -> None:
    found = validate_strategy(subject_of(edge), edge.slice(0, bars), SETTINGS)
    assert found.status == "INSUFFICIENT"
    assert outcomes(found)["unseen"] == "insufficient"
    assert found.unseen is None


def test_only_what_the_ledger_gives_is_looked_at(edge: Candles) -> None:
    asked: list[Interval] = []
    start = (SEEN_BARS + 300) * HOUR_MS

    def draw(within: Interval, choose: Choose) -> Interval | None:
        asked.append(within)
        return choose([Interval(start, within.end)])

    found = validate_strategy(subject_of(edge), edge, SETTINGS, draw=draw)
    assert asked == [Interval(SEEN_BARS * HOUR_MS, 3_000 * HOUR_MS)]
    assert found.unseen is not None
    assert found.unseen.interval.start == start


class Stream:
    """A stream of requests whose next test has a given level."""

    def __init__(self, level: float) -> None:
        self.level = level
        self.recorded: list[float] = []

    def next_level(self) -> float:
        return self.level

    def record(self, p_value: float) -> float:
        self.recorded.append(p_value)
        return self.level


def test_a_strict_level_asks_for_more_permutations_and_then_decides(edge: Candles) -> None:
    stream = Stream(0.011)
    found = validate_strategy(subject_of(edge), edge, replace(SETTINGS, most_permutations=200), stream=stream)
    assert found.permutation.permutations == 91
    assert stream.recorded == [found.permutation.p_value]
    assert found.status == "VALIDATED"


def test_a_level_that_no_permutation_can_reach_is_insufficient_not_rejected(edge: Candles) -> None:
    found = validate_strategy(subject_of(edge), edge, replace(SETTINGS, most_permutations=39), stream=Stream(1e-6))
    assert outcomes(found)["false_discovery"] == "insufficient"
    assert found.status == "INSUFFICIENT"


def test_candles_that_lack_the_discoverys_window_are_refused(edge: Candles) -> None:
    with pytest.raises(ValueError, match="at least 2 are needed"):
        validate_strategy(subject_of(edge), edge.slice(2_000, 3_000), SETTINGS)


def test_the_hash_changes_with_everything_that_decides(edge: Candles) -> None:
    subject = subject_of(edge)
    variants = [
        validation_hash(subject, "1h", SETTINGS),
        validation_hash(subject, "1d", SETTINGS),
        validation_hash(replace(subject, search=replace(SEARCH, generations=4)), "1h", SETTINGS),
        validation_hash(subject, "1h", replace(SETTINGS, robust_share=0.4)),
        validation_hash(subject, "1h", replace(SETTINGS, seed=1)),
    ]
    assert len(set(variants)) == len(variants)
    assert validation_hash(subject, "1h", SETTINGS) == variants[0]


@pytest.mark.parametrize("wrong", [{"permutations": 0}, {"level": 2.0}, {"cost_multiple": 0.5}, {"sampled_trials": 1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ValidationSettings(**wrong)


def test_progress_names_every_gate_in_order(edge: Candles) -> None:
    told: list[str] = []

    def note(gate: str, done: int, of: int) -> None:
        assert 0 <= done <= of
        if gate not in told:
            told.append(gate)

    validate_strategy(subject_of(edge), edge, SETTINGS, on_progress=note)
    order: Sequence[str] = ["permutation", "walk_forward", "neighbourhood", "cost_stress", "unseen", "diagnostics"]
    assert told == list(order)
