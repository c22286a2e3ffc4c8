"""Debian's Prometheus and Alertmanager in the node's network, with our settings for a cluster that has neither."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from cluster.alert_rules import COPY
from cluster.local.process import child_environment, end, launch
from tests.kubernetes.dev_cluster import NAMESPACE
from tests.kubernetes.node import debian
from tests.kubernetes.node.folders import part
from tests.kubernetes.node.kubectl import read
from tests.kubernetes.node.network import inside, server

SETTINGS = COPY.parent
ADDRESS, ALERTS_ADDRESS = "127.0.0.1:9090", "127.0.0.1:9093"
INTERVAL = "2s"
"""Half a minute in the settings: a test has no time for that."""

_GET = """
import json, sys, urllib.parse, urllib.request
base, asked = json.load(sys.stdin)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for path, words in asked:
    try:
        with opener.open(base + path + "?" + urllib.parse.urlencode(words), timeout=20) as answer:
            print(json.dumps(json.load(answer)))
    except OSError as error:
        print(json.dumps({"status": "error", "error": str(error)}))
"""


@contextmanager
def running() -> Iterator[None]:
    """Run both until the end of the block."""
    folder = part("prometheus")
    configuration = folder / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration()))
    try:
        launch(
            part("alertmanager"),
            server(
                [
                    *debian.with_its_files("prometheus-alertmanager", "prometheus-alertmanager"),
                    f"--config.file={SETTINGS / 'alertmanager.yml'}",
                    f"--storage.path={part('alertmanager') / 'data'}",
                    f"--web.listen-address={ALERTS_ADDRESS}",
                    "--cluster.listen-address=",
                ]
            ),
            environment=child_environment(),
        )
        launch(
            folder,
            server(
                [
                    debian.program("prometheus", "prometheus"),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={ADDRESS}",
                ]
            ),
            environment=child_environment(),
        )
        yield
    finally:
        for name in ("prometheus", "alertmanager"):
            end(part(name), patience_seconds=5.0)


def ask(path: str, asked: Sequence[dict[str, str]] = ({},), address: str = ADDRESS) -> list[Any]:
    """Return the JSON answers of one path of the API, one for each set of parameters; of a failure, `status` tells."""
    question = json.dumps([f"http://{address}", [[path, words] for words in asked]])
    told = subprocess.run(
        inside([sys.executable, "-c", _GET]), input=question, capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in told.stdout.splitlines() if line.strip()]


def _configuration() -> dict[str, Any]:
    """Return our settings; the pods are listed, since Debian builds Prometheus without Kubernetes' discovery."""
    found: dict[str, Any] = yaml.safe_load((SETTINGS / "prometheus.yml").read_text())
    found["global"] = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    found["rule_files"] = [str(COPY)]
    found["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [ALERTS_ADDRESS]}]}]
    # The node has no kube-state-metrics.
    (job,) = [one for one in found["scrape_configs"] if one["job_name"] == "ray"]
    (discovery,) = job.pop("kubernetes_sd_configs")
    (selector,) = discovery["selectors"]
    job["static_configs"] = [
        target for pod in read("-n", NAMESPACE, "pods", "-l", selector["label"])["items"] for target in _targets(pod)
    ]
    found["scrape_configs"] = [job]
    return found


def _targets(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each named port as Kubernetes' discovery tells of it: the relabelling is ours, unchanged."""
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            labels = {
                "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
                "__meta_kubernetes_pod_name": pod["metadata"]["name"],
                "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                "__meta_kubernetes_pod_label_ray_io_cluster": pod["metadata"]["labels"]["ray.io/cluster"],
                "__meta_kubernetes_pod_label_ray_io_node_type": pod["metadata"]["labels"]["ray.io/node-type"],
            }
            yield {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": labels}
