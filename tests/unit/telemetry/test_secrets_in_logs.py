"""Secrets are fed to settings, errors and both kinds of log; none may come out."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
import structlog
from pydantic import SecretStr, ValidationError

from alpharay.log import log_to_standard_error
from alpharay.settings import Settings
from alpharay.store.database import open_pool
from alpharay.telemetry.origin import Origin, caused_by
from alpharay.telemetry.redaction import Redaction, secrets_of
from alpharay.telemetry.trace_export import start_tracing
from serve_apps.serve_log import OwnFields

PASSWORD = "pa55-w0rd/of the:database"
QUOTED = "pa55-w0rd%2Fof%20the%3Adatabase"
SETTINGS = Settings(
    database_url=SecretStr(f"postgresql://ann:{QUOTED}@127.0.0.1:1/market"),
    redis_url=SecretStr("redis://:valkey-pass-word@127.0.0.1:1/0"),
    api_keys=SecretStr("desk read 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    jwt_secret=SecretStr("a secret of more than thirty-two bytes"),
    otlp_headers=SecretStr("x-tenant=one,authorization=Basic c2VjcmV0"),
)
SECRETS = [
    PASSWORD,
    QUOTED,
    "valkey-pass-word",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "a secret of more than thirty-two bytes",
    "c2VjcmV0",
]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Return what reads the library's lines since it was asked last."""
    log_to_standard_error("DEBUG", log_format="json", secrets=secrets_of(SETTINGS))
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()


def fail(secret: str) -> None:
    raise RuntimeError(f"could not log in with {secret}")


@pytest.fixture
def serve_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(shown)s %(exc_text)s"))
    logger = logging.getLogger("test.serve")
    own = OwnFields(Redaction(secrets_of(SETTINGS)))
    logger.addFilter(own)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)
    logger.removeFilter(own)


def clean(text: str) -> str:
    assert text
    for secret in SECRETS:
        assert secret not in text
    return text


def test_no_secret_of_the_settings_is_in_a_line_of_the_library(lines: Callable[[], str]) -> None:
    log = structlog.get_logger()
    for secret in SECRETS:
        log.info("said", value=f"before {secret} after", inner={"list": [secret]}, other=SecretStr(secret))
        log.warning(secret)
        try:
            fail(secret)
        except RuntimeError:
            log.exception("failed")
    log.info("settings", all=SETTINGS, dumped=SETTINGS.model_dump())
    for line in clean(lines()).splitlines():
        assert set(json.loads(line)) >= {"event", "level", "timestamp"}


def test_no_secret_is_in_a_line_of_a_replica(serve_lines: io.StringIO) -> None:
    log = logging.getLogger("test.serve")
    for secret in SECRETS:
        log.error("message %s", secret, extra={"shown": [secret]})
        try:
            fail(secret)
        except RuntimeError:
            log.exception("failed", extra={"shown": 1})
    assert "RuntimeError" in clean(serve_lines.getvalue())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:pw@host/x", "postgresql://ann:***@host/x"),
        ("redis://:p@ss:w@host:1/0", "redis://:***@host:1/0"),
        ("https://host/path", "https://host/path"),
        ("password=hunter2 next", "password=*** next"),
        ("{'api_key': 'abc'}", "{'api_key': '***'}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("X-API-Key: abc", "X-API-Key: ***"),
        ("key = value", "key = value"),
        ("monkeys", "monkeys"),
    ],
)
def test_passwords_that_no_setting_holds_are_hidden_by_where_they_stand(text: str, shown: str) -> None:
    assert Redaction().hide(text) == shown


def test_the_errors_of_a_broken_address_are_clean(lines: Callable[[], str]) -> None:
    log = structlog.get_logger()
    for broken in (f"postgresql//ann:{QUOTED}@host", f"postgresql://ann:{QUOTED}@host:port/x?no=such"):
        with pytest.raises(psycopg.Error) as failed:
            psycopg.connect(broken, connect_timeout=1)
        log.error("database.broken", error=str(failed.value))
    clean(lines())


def test_the_pool_of_an_absent_database_tells_nobody_its_password(
    lines: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    with open_pool(SETTINGS.require("database_url"), application="absent") as pool:
        with pytest.raises(psycopg.OperationalError) as failed, pool.connection(timeout=0.5):
            pass
        structlog.get_logger().error("database.away", error=str(failed.value))
    clean(lines() + caplog.text + str(failed.value))


def test_settings_show_no_secret_and_neither_do_their_errors() -> None:
    clean(repr(SETTINGS) + str(SETTINGS) + SETTINGS.model_dump_json())
    with pytest.raises(ValidationError) as wrong:
        Settings(log_format="loud", database_url=SETTINGS.database_url)  # type: ignore[arg-type]
    clean(str(wrong.value))
    headers = Settings(otlp_endpoint="http://127.0.0.1:1", otlp_headers=SecretStr("c2VjcmV0"))
    with pytest.raises(ValueError, match="must be NAME=VALUE") as refused:
        start_tracing(headers, "test")
    clean(str(refused.value))


def test_a_job_that_fails_on_the_database_writes_json_without_the_password() -> None:
    program = """
import ray_jobs, structlog
from alpharay.settings import settings
try:
    raise RuntimeError(settings().require("database_url"))
except RuntimeError:
    structlog.get_logger().exception("job.failed", url=settings().require("database_url"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"ALPHARAY_DATABASE_URL": SETTINGS.require("database_url"), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    line = json.loads(clean(done.stderr))
    assert (line["event"], line["level"], line["url"]) == ("job.failed", "error", "***")


def test_a_line_carries_the_id_and_the_trace_of_its_origin(lines: Callable[[], str]) -> None:
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with caused_by(Origin("r-1", f"00-{trace_id}-{span_id}-01")):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")
    inside, outside = map(json.loads, lines().splitlines())
    assert (inside["correlation_id"], inside["trace_id"]) == ("r-1", trace_id)
    assert not {"correlation_id", "trace_id"} & set(outside)
