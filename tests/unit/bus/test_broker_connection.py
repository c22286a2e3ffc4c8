"""What a client is told about brokers: an address alone, or also TLS and a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from alpharay.bus.connection import broker_connection
from alpharay.settings import SettingMissingError


def test_without_settings_an_address_is_all() -> None:
    assert broker_connection("a:9092,b:9092") == {
        "bootstrap.servers": "a:9092,b:9092",
        "security.protocol": "plaintext",
    }


def test_a_password_comes_from_its_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("of-the-file\n")
    for name, value in {
        "SECURITY_PROTOCOL": "sasl_ssl",
        "SASL_MECHANISM": "PLAIN",
        "USERNAME": "ann",
        "PASSWORD": "of-the-environment",
        "PASSWORD_FILE": str(tmp_path / "password"),
        "CA_FILE": "/ca.pem",
    }.items():
        monkeypatch.setenv(f"ALPHARAY_KAFKA_{name}", value)
    assert broker_connection("a:9093") == {
        "bootstrap.servers": "a:9093",
        "security.protocol": "sasl_ssl",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": "of-the-file",
    }


def test_tls_alone_shows_the_clients_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SECURITY_PROTOCOL": "ssl", "CERTIFICATE_FILE": "/me.pem", "KEY_FILE": "/me.key"}.items():
        monkeypatch.setenv(f"ALPHARAY_KAFKA_{name}", value)
    found = broker_connection("a:9093")
    assert (found["ssl.certificate.location"], found["ssl.key.location"]) == ("/me.pem", "/me.key")
    assert not any(name.startswith("sasl") for name in found)


@pytest.mark.parametrize("missing", ["USERNAME", "PASSWORD"])
def test_what_is_asked_for_and_not_set_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHARAY_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext")
    for name in {"USERNAME", "PASSWORD"} - {missing}:
        monkeypatch.setenv(f"ALPHARAY_KAFKA_{name}", "something")
    with pytest.raises(SettingMissingError, match=f"ALPHARAY_KAFKA_{missing}"):
        broker_connection("a:9093")
