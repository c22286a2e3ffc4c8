"""Lines of requests: their shape, their secrets, their bound, and what cannot be written."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

import pytest

from alpharay.telemetry.origin import Origin, caused_by
from alpharay.telemetry.redaction import Redaction
from serve_apps import request_log
from serve_apps.request_log import RequestLog, tell_request, write_beside_replica
from serve_apps.service_log import SERVE_LOGGER

LABELS = {"application": "signal", "replica": "r1"}


def written(tell: Callable[[RequestLog], None], **options: float) -> list[dict[str, object]]:
    """Return the lines of what `tell` tells, once all are written."""
    texts: list[str] = []
    log = RequestLog(texts.append, Redaction(["hunter22"]), LABELS, **options)
    try:
        tell(log)
    finally:
        log.close()
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_line_has_its_fields_its_labels_and_its_origin() -> None:
    def tell(log: RequestLog) -> None:
        with caused_by(Origin("id-1", f"00-{'a' * 32}-{'b' * 16}-01")):
            log.tell("signal", {"symbol": "SOL/USD", "latency_ms": 0.5})
        log.tell("signal", {"symbol": "BTC/USD"})

    first, second = written(tell)
    when = first.pop("asctime")
    assert isinstance(when, str)
    assert len(when) == len("2026-11-21 22:58:31,722")
    assert first == {
        "levelname": "INFO",
        "message": "signal",
        **LABELS,
        "symbol": "SOL/USD",
        "latency_ms": 0.5,
        "correlation_id": "id-1",
        "trace_id": "a" * 32,
    }
    assert "correlation_id" not in second


def test_secrets_are_hidden() -> None:
    (line,) = written(lambda log: log.tell("refused", {"value": "password=hunter22"}))
    assert "hunter22" not in json.dumps(line)


@pytest.mark.parametrize("value", ["\ud800", float("nan"), float("inf"), {1, 2}, object(), b"\xff", 1 << 80])
def test_whatever_a_client_sent_ends_no_log(value: object) -> None:
    def tell(log: RequestLog) -> None:
        log.tell("refused", {"value": value})
        log.tell("signal", {"symbol": "SOL/USD"})

    assert [line["message"] for line in written(tell)][-1] == "signal"
    assert len(written(tell)) == 2


def test_more_than_may_wait_is_dropped_and_told() -> None:
    def tell(log: RequestLog) -> None:
        for place in range(5):
            log.tell("signal", {"place": place})

    lines = written(tell, most_waiting=3, every_s=60.0)
    assert lines[0]["message"] == "request lines dropped"
    assert lines[0]["lines"] == 2
    assert [line["place"] for line in lines[1:]] == [0, 1, 2]


def test_a_file_that_cannot_be_written_ends_no_log() -> None:
    texts: list[str] = []
    failed = threading.Event()

    def write(text: str) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("no space left")
        texts.append(text)

    log = RequestLog(write, Redaction(), {}, every_s=0.01)
    log.tell("signal", {})
    assert failed.wait(30.0)
    log.tell("last", {})
    log.close(30.0)
    assert "last" in "".join(texts)


@pytest.fixture
def in_replica(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Tell one request as a replica does whose logger has the given handlers, and wait until it is written."""
    logger = logging.getLogger(SERVE_LOGGER)

    def tell(*handlers: logging.Handler) -> None:
        monkeypatch.setattr(logger, "handlers", list(handlers))
        monkeypatch.setattr(logger, "level", logging.INFO)
        monkeypatch.setattr(request_log, "_replica", None)
        logger.manager._clear_cache()
        write_beside_replica(Redaction(), LABELS)
        tell_request("signal", {"symbol": "SOL/USD"})
        assert request_log._replica is not None
        request_log._replica.close()

    yield tell
    logger.manager._clear_cache()


def test_in_a_replica_lines_stand_in_a_file_beside_its_own(tmp_path: Path, in_replica: Callable[..., None]) -> None:
    serve = RotatingFileHandler(tmp_path / "replica_signal_S_r1.log", maxBytes=1000, backupCount=2, delay=True)
    in_replica(MemoryHandler(1, target=serve))
    (line,) = (tmp_path / "requests_signal_S_r1.log").read_text().splitlines()
    assert json.loads(line)["symbol"] == "SOL/USD"
    assert not (tmp_path / "replica_signal_S_r1.log").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_and_ends_no_log(
    tmp_path: Path, in_replica: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "requests_signal_S_r1.log").symlink_to("/dev/full")
    in_replica(RotatingFileHandler(tmp_path / "replica_signal_S_r1.log", delay=True), caplog.handler)
    assert "request lines are lost" in caplog.text
