"""From gates to a status."""

from __future__ import annotations

import pytest

from alpharay.validation.verdict import (
    above,
    all_passed,
    at_least,
    at_most,
    insufficient,
    not_reached,
    verdict,
)

PASSED = at_most("permutation", 0.01, 0.05, "p is small.")
FAILED = above("cost_stress", -0.5, 0.0, "Costs eat it.")
OPEN = insufficient("unseen", 3.0, 30.0, "Three days are too few.")
SKIPPED = not_reached("unseen", "Not asked.")


def test_the_bounds_belong_to_the_gates_as_they_say() -> None:
    assert at_most("a", 0.05, 0.05, "").outcome == "passed"
    assert at_least("a", 0.5, 0.5, "").outcome == "passed"
    assert above("a", 0.0, 0.0, "").outcome == "failed"


@pytest.mark.parametrize("gate", [at_most, at_least, above])
def test_what_is_not_a_number_fails(gate) -> None:
    assert gate("a", float("nan"), 0.0, "").outcome == "failed"


def test_all_gates_passed_is_validated() -> None:
    found = verdict([PASSED, PASSED])
    assert found.status == "VALIDATED"
    assert all_passed(found.gates)


def test_one_failed_gate_rejects_whatever_the_others_say() -> None:
    found = verdict([PASSED, FAILED, OPEN])
    assert found.status == "REJECTED"
    assert "Costs eat it." in found.text
    assert "too few" not in found.text


def test_an_open_gate_leaves_it_open_also_when_the_last_was_not_reached() -> None:
    found = verdict([PASSED, OPEN])
    assert (found.status, "Three days are too few." in found.text) == ("INSUFFICIENT", True)
    assert verdict([OPEN, SKIPPED]).status == "INSUFFICIENT"
    assert verdict([FAILED, SKIPPED]).status == "REJECTED"


def test_gates_that_decide_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one gate"):
        verdict([])
    with pytest.raises(ValueError, match="not reached"):
        verdict([PASSED, SKIPPED])
