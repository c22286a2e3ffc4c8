from __future__ import annotations

import threading

from alpharay.signals.snapshot import EMPTY, Snapshot
from serve_apps.signal_refresh import DEAD_AFTER_S, SnapshotRefresher


class Source:
    """A source that fails when told to."""

    def __init__(self) -> None:
        self.fails = False
        self.calls = 0
        self.called = threading.Event()

    def __call__(self) -> Snapshot:
        self.calls += 1
        self.called.set()
        if self.fails:
            raise ConnectionError("down")
        return EMPTY


def test_a_failure_keeps_the_snapshot_and_is_told() -> None:
    now = [100.0]
    source = Source()
    refresher = SnapshotRefresher(source, monotonic=lambda: now[0])
    assert not refresher.ready
    assert refresher.age_s() is None
    assert refresher.refresh()
    before = refresher.snapshot
    source.fails = True
    now[0] = 107.0
    assert not refresher.refresh()
    assert refresher.snapshot is before
    assert refresher.ready
    assert (refresher.age_s(), refresher.failures) == (7.0, 1)
    assert refresher.last_error == "ConnectionError: down"
    source.fails = False
    assert refresher.refresh()
    assert (refresher.age_s(), refresher.last_error) == (0.0, None)


def test_it_goes_on_in_the_background_after_a_failed_start() -> None:
    source = Source()
    source.fails = True
    refresher = SnapshotRefresher(source, every_s=0.01)
    refresher.start()
    try:
        source.fails = False
        source.called.clear()
        assert source.called.wait(5.0)
        assert refresher.is_alive()
    finally:
        refresher.stop()
    assert refresher.ready
    assert not refresher.is_alive()


def test_a_refresh_that_hangs_is_not_alive() -> None:
    now = [0.0]
    refresher = SnapshotRefresher(Source(), monotonic=lambda: now[0], every_s=60.0)
    refresher.start()
    try:
        assert refresher.is_alive()
        now[0] = DEAD_AFTER_S + 1.0
        assert not refresher.is_alive()
    finally:
        refresher.stop()
