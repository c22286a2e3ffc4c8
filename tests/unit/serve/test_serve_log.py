"""How a replica logs: its own lines through Serve's handlers, and nothing made for an access log that nobody wants."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from alpharay.telemetry.origin import Origin, caused_by
from serve_apps.serve_log import log_through_serve
from serve_apps.service_log import SERVE_LOGGER, SERVICE_LOGGER

SECRET = "hunter22-of-the-database"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What Serve's handler writes once a replica logs; loggers are as they were afterwards."""
    monkeypatch.setenv("ALPHARAY_DATABASE_URL", f"postgresql://ann:{SECRET}@host/x")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(correlation_id)s"))
    for name in (SERVE_LOGGER, SERVICE_LOGGER):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    serve = logging.getLogger(SERVE_LOGGER)
    monkeypatch.setattr(serve, "handlers", [handler])
    monkeypatch.setattr(serve, "level", logging.INFO)
    serve.manager._clear_cache()
    yield stream
    structlog.reset_defaults()
    serve.manager._clear_cache()


def test_serves_line_of_a_request_is_not_made_and_its_warnings_are(lines: io.StringIO) -> None:
    log_through_serve()
    serve = logging.getLogger(SERVE_LOGGER)
    assert not serve.isEnabledFor(logging.INFO)
    with caused_by(Origin("id-1")):
        serve.warning("health check failed with %s", SECRET)
    assert lines.getvalue() == "WARNING health check failed with *** id-1\n"


def test_the_services_lines_leave_through_serves_handlers_without_secrets(lines: io.StringIO) -> None:
    # Twice, as where two services live in one process.
    log_through_serve()
    log_through_serve()
    with caused_by(Origin("id-2")):
        logging.getLogger(SERVICE_LOGGER).info("rate limit is shared again")
        structlog.get_logger("anything").info(f"read {SECRET}")
    assert lines.getvalue() == "INFO rate limit is shared again id-2\nINFO read *** id-2\n"


def test_who_asks_serve_for_more_gets_it(lines: io.StringIO) -> None:
    logging.getLogger(SERVE_LOGGER).setLevel(logging.DEBUG)
    log_through_serve()
    assert logging.getLogger(SERVE_LOGGER).isEnabledFor(logging.DEBUG)
    with caused_by(Origin("id-3")):
        logging.getLogger(SERVICE_LOGGER).debug("all of it")
    assert lines.getvalue() == "DEBUG all of it id-3\n"
