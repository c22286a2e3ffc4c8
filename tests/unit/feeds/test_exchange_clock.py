from __future__ import annotations

import httpx
import pytest

from alpharay.feeds.exchange_clock import ExchangeClock


def test_the_simulated_exchange_tells_its_time_and_others_have_the_wall_clock() -> None:
    now = [10.0]
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json={"serverTime": 1_000_000}))
    clock = ExchangeClock("http://127.0.0.1:1", wall_clock_ms=lambda: 77, monotonic=lambda: now[0], transport=answers)
    assert clock.now_ms("kraken") == 77
    assert clock.now_ms("simulated") is None
    clock.refresh()
    assert clock.now_ms("simulated") == 1_000_000
    now[0] = 12.5
    assert clock.now_ms("simulated") == 1_002_500


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, text="no"), httpx.Response(200, json={})])
def test_a_failure_is_raised_and_leaves_the_time_known(answer: httpx.Response) -> None:
    answers = [httpx.Response(200, json={"serverTime": 5_000}), answer]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    clock = ExchangeClock("http://127.0.0.1:1", monotonic=lambda: 0.0, transport=transport)
    clock.refresh()
    with pytest.raises(ConnectionError, match="told no time"):
        clock.refresh()
    assert clock.now_ms("simulated") == 5_000


def test_without_a_simulated_exchange_there_is_nothing_to_ask() -> None:
    clock = ExchangeClock(None)
    clock.refresh()
    assert clock.now_ms("simulated") is None
