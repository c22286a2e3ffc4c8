"""Brokers that ask for TLS and a password, as those of a managed service do: ours get in, others do not."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from test_tls import write_certificate

from alpharay.bus import topics
from alpharay.bus.consumer import describe_topic, open_consumer
from alpharay.bus.messages import DeadLetter
from alpharay.bus.producer import MessageProducer
from alpharay.settings import settings
from cluster.local import kafka
from cluster.local.port import claim_port
from cluster.local.topics import create_topics

USER, PASSWORD = "ann", secrets.token_hex(12)
ASK_S = 8.0


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the address where a broker wants TLS and a password, and the file with its authority."""
    folder = tmp_path_factory.mktemp("brokers")
    key, certificate = write_certificate(folder)
    both = folder / "keystore.pem"
    both.write_text(key.read_text() + certificate.read_text())
    plain, control = claim_port(folder), claim_port(folder, kafka.CONTROLLER_PORT)
    address = f"127.0.0.1:{claim_port(folder, 'secured-port')}"
    try:
        broker = kafka.start(
            folder,
            more={
                "listeners": f"PLAINTEXT://127.0.0.1:{plain},SECURED://{address},CONTROLLER://127.0.0.1:{control}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},SECURED://{address}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SECURED:SASL_SSL,CONTROLLER:PLAINTEXT",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.secured.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(both),
            },
        )
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        # Kept until the answer is there: it ends with the client.
        client = AdminClient({"bootstrap.servers": broker.address})
        said = client.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())])
        said[USER].result(timeout=30)
        yield address, certificate
    finally:
        kafka.stop(folder)


@pytest.fixture
def as_ann(secured: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set this process up as a client that gets in; yield the brokers' address."""
    address, authority = secured
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    monkeypatch.setenv("ALPHARAY_KAFKA_SECURITY_PROTOCOL", "sasl_ssl")
    monkeypatch.setenv("ALPHARAY_KAFKA_USERNAME", USER)
    monkeypatch.setenv("ALPHARAY_KAFKA_PASSWORD_FILE", str(file))
    monkeypatch.setenv("ALPHARAY_KAFKA_CA_FILE", str(authority))
    settings.cache_clear()
    yield address
    settings.cache_clear()


def test_who_has_the_password_makes_topics_publishes_and_reads(as_ann: str) -> None:
    assert set(create_topics(as_ann)) == set(topics.ALL)
    assert create_topics(as_ann) == []
    layout = describe_topic(as_ann, topics.DEAD_LETTERS)
    sent = DeadLetter(reason="a test", source="tests", value="x", refused_at=0)
    with MessageProducer(as_ann, client_id="test") as producer:
        producer.publish(topics.DEAD_LETTERS, sent, key="k")
        producer.flush()
    consumer = open_consumer(as_ann, "test")
    try:
        consumer.assign([TopicPartition(topics.DEAD_LETTERS, one, 0) for one in layout.partitions])
        message = consumer.poll(30.0)
    finally:
        consumer.close()
    assert message is not None
    assert message.error() is None
    assert json.loads(message.value())["reason"] == sent.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALPHARAY_KAFKA_PASSWORD_FILE", "wrong"),
        # The system's authorities do not know the brokers.
        ("ALPHARAY_KAFKA_CA_FILE", None),
        ("ALPHARAY_KAFKA_SECURITY_PROTOCOL", "plaintext"),
    ],
)
def test_who_has_not_what_the_brokers_ask_for_is_refused_and_learns_no_secret(
    as_ann: str, tmp_path: Path, name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    elif name.endswith("FILE"):
        (tmp_path / "other").write_text(value)
        monkeypatch.setenv(name, str(tmp_path / "other"))
    else:
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    with pytest.raises(KafkaException) as refused:
        describe_topic(as_ann, topics.DEAD_LETTERS, timeout_s=ASK_S)
    assert PASSWORD not in str(refused.value)
