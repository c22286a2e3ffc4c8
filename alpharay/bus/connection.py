"""How clients reach the brokers: their addresses, and TLS and a password where the brokers ask for them."""

from __future__ import annotations

from alpharay.settings import settings


def broker_connection(bootstrap_servers: str) -> dict[str, str]:
    """Return the part of a client's configuration that says where the brokers are and what they are shown.

    TLS, mechanism and password are the process's settings (`ALPHARAY_KAFKA_…`). Raises SettingMissingError where a
    password is asked for and none is set, and OSError when its file cannot be read.
    """
    current = settings()
    found = {"bootstrap.servers": bootstrap_servers, "security.protocol": current.kafka_security_protocol}
    if current.kafka_security_protocol.endswith("ssl"):
        for name, file in (
            ("ssl.ca.location", current.kafka_ca_file),
            ("ssl.certificate.location", current.kafka_certificate_file),
            ("ssl.key.location", current.kafka_key_file),
        ):
            if file is not None:
                found[name] = str(file)
    if current.kafka_security_protocol.startswith("sasl"):
        found["sasl.mechanism"] = current.kafka_sasl_mechanism
        found["sasl.username"] = current.require("kafka_username")
        # A file first: a password in the environment is seen by whoever may look at a process.
        file = current.kafka_password_file
        found["sasl.password"] = current.require("kafka_password") if file is None else file.read_text().strip()
    return found
