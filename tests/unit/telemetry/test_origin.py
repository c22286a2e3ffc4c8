"""Ids and traceparents that strangers send, and whose work is whose."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpharay.telemetry.origin import (
    Origin,
    caused_by,
    clean_correlation_id,
    current_origin,
    origin_of_headers,
    valid_traceparent,
)

# The example of W3C Trace Context, section 3.2.4.
EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("text", ["r-1", "0123456789abcdef", "Root=1-67891233-abc", "a" * 128])
def test_an_id_of_letters_digits_and_a_few_signs_stays_as_it_is(text: str) -> None:
    assert clean_correlation_id(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a b\tc", "a_b_c"),
        ('x"}\n{"forged": "line"}', "x_____forged_:__line__"),
        ("é", "_"),
        ("a" * 1_000_000, "a" * 128),
    ],
)
def test_other_signs_and_lengths_are_made_harmless(text: str, clean: str) -> None:
    assert clean_correlation_id(text) == clean


@pytest.mark.parametrize("text", [None, ""])
def test_no_id_is_none(text: str | None) -> None:
    assert clean_correlation_id(text) is None


@given(st.text(min_size=1))
def test_a_clean_id_is_short_printable_and_clean_already(text: str) -> None:
    clean = clean_correlation_id(text)
    assert clean is not None
    assert 1 <= len(clean) <= 128
    assert clean.isascii()
    assert clean.isprintable()
    assert " " not in clean
    assert clean_correlation_id(clean) == clean


def test_the_standards_example_is_valid_and_gives_its_trace() -> None:
    assert valid_traceparent(EXAMPLE) == EXAMPLE
    assert Origin("r-1", EXAMPLE).trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert Origin("r-1").trace_id is None


def test_a_later_version_is_read_as_the_first() -> None:
    assert valid_traceparent("cc" + EXAMPLE[2:] + "-what-the-future-holds") == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "ff" + EXAMPLE[2:],
        EXAMPLE + "-more",
        EXAMPLE.upper(),
        EXAMPLE[:-1],
        EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        EXAMPLE.replace("00f067aa0ba902b7", "0" * 16),
        EXAMPLE + "\n",
        "00-" + "é" * 32 + "-00f067aa0ba902b7-01",
    ],
)
def test_a_traceparent_that_breaks_a_rule_counts_as_none(text: str) -> None:
    assert valid_traceparent(text) is None


def test_headers_without_an_id_have_no_origin_and_a_broken_trace_costs_only_the_trace() -> None:
    assert origin_of_headers({"traceparent": EXAMPLE}) is None
    assert origin_of_headers({"correlation-id": "r 1", "traceparent": "nonsense"}) == Origin("r_1")
    assert origin_of_headers({"correlation-id": "r-1", "traceparent": EXAMPLE}) == Origin("r-1", EXAMPLE)


def test_the_origin_is_that_of_the_innermost_work_and_no_other_threads() -> None:
    met: list[Origin | None] = []
    assert current_origin() is None
    with caused_by(Origin("outer")):
        with caused_by(Origin("inner")), caused_by(None):
            assert current_origin() == Origin("inner")
        assert current_origin() == Origin("outer")
        thread = threading.Thread(target=lambda: met.append(current_origin()))
        thread.start()
        thread.join(10.0)
    assert met == [None]
    assert current_origin() is None
