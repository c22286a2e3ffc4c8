import pytest

from alpharay.selection.rotation import DAY_MS, Challenger, Incumbent, Move, RotationSettings, rotate

NOW = 1_800_000_000_000


def incumbent(strategy_id: str, confidence: float, *, days: float = 5.0, holds: bool = False) -> Incumbent:
    return Incumbent(strategy_id, NOW - int(days * DAY_MS), confidence, holds)


def kinds(moves: list[Move]) -> list[tuple[str, str]]:
    return [(move.kind, move.strategy_id) for move in moves]


def test_free_places_go_to_the_most_confident():
    challengers = [Challenger("c", 0.3), Challenger("a", 0.5), Challenger("b", 0.4), Challenger("d", 0.29)]
    assert kinds(rotate([], challengers, NOW)) == [("DEPLOY", "a"), ("DEPLOY", "b"), ("DEPLOY", "c")]


def test_a_challenger_that_is_a_little_better_replaces_nobody():
    incumbents = [incumbent(name, 0.5) for name in "abc"]
    assert rotate(incumbents, [Challenger("new", 0.59)], NOW) == []


def test_a_much_better_challenger_replaces_the_least_confident():
    incumbents = [incumbent("a", 0.5), incumbent("b", 0.4), incumbent("c", 0.45)]
    moves = rotate(incumbents, [Challenger("new", 0.6)], NOW)
    assert kinds(moves) == [("WITHDRAW", "b"), ("DEPLOY", "new")]
    assert "0.600 against 0.400" in moves[0].reason


def test_an_incumbent_in_a_position_or_just_deployed_stays():
    incumbents = [incumbent("holding", 0.2, holds=True), incumbent("young", 0.2, days=0.5), incumbent("good", 0.8)]
    assert rotate(incumbents, [Challenger("new", 0.7)], NOW) == []


def test_several_are_replaced_in_one_round_and_never_more_than_the_places():
    incumbents = [incumbent("a", 0.2), incumbent("b", 0.25), incumbent("c", 0.6)]
    moves = rotate(incumbents, [Challenger("x", 0.7), Challenger("y", 0.65), Challenger("z", 0.64)], NOW)
    assert kinds(moves) == [("WITHDRAW", "a"), ("DEPLOY", "x"), ("WITHDRAW", "b"), ("DEPLOY", "y")]


def test_a_second_rotation_right_after_the_first_changes_nothing():
    challengers = [Challenger("x", 0.7), Challenger("y", 0.65)]
    moves = rotate([incumbent("a", 0.2), incumbent("b", 0.6), incumbent("c", 0.6)], challengers, NOW)
    assert kinds(moves) == [("WITHDRAW", "a"), ("DEPLOY", "x")]
    after = [incumbent("x", 0.7, days=0.0), incumbent("b", 0.6), incumbent("c", 0.6)]
    assert rotate(after, [Challenger("y", 0.65), Challenger("a", 0.2)], NOW) == []


def test_nobody_below_the_least_confidence_is_deployed():
    assert rotate([], [Challenger("a", 0.19)], NOW) == []
    assert rotate([], [], NOW) == []


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="places must be at least 1, was 0"):
        RotationSettings(places=0)
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], was 1\.5"):
        RotationSettings(threshold=1.5)
