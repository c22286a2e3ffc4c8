"""Who may speak to whom: every flow that the policies allow goes through, and those that they do not are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.dev_cluster import NAMESPACE, RAY_WORKER, head, pods, wait_for
from tests.kubernetes.node.kubectl import apply, kubectl

pytestmark = pytest.mark.usefixtures("dev")

STRANGERS, INGRESS = "strangers", "ingress-test"
CLIENT = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {{role: {role}}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {{runAsNonRoot: true, runAsUser: 999, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: client
      image: docker.io/library/postgres:18
      imagePullPolicy: IfNotPresent
      command: [sleep, "3600"]
      securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""
SPACE = """
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels: {{alpharay.dev/ingress: "{ingress}"}}
"""

PROBE = """
for address in "$@"; do
  (timeout 5 bash -c "exec 3<>/dev/tcp/$address" 2>/dev/null && echo "$address") &
done
wait
"""
SERVERS = {
    "PostgreSQL": ("postgres", 5432),
    "a broker": ("kafka-0.kafka", 9092),
    "the brokers' quorum": ("kafka-0.kafka", 9093),
    "the limits' Valkey": ("valkey", 6379),
    "Ray's state": ("ray-state", 6379),
    "the exchange": ("exchange", 9300),
    "the Jobs API": ("serving-head-svc", 8265),
    "Ray's control store": ("serving-head-svc", 6379),
    "Ray's clients": ("serving-head-svc", 10001),
    "Serve": ("serving-serve-svc", 8000),
}
MAY = {
    "Ray's head": set(SERVERS) - {"the brokers' quorum"},
    "Ray's worker": set(SERVERS) - {"the brokers' quorum"},
    "a schedule": {"the Jobs API"},
    "a broker": {"a broker", "the brokers' quorum"},
    "the exchange": set(),
    # Itself, over no network.
    "PostgreSQL": {"PostgreSQL"},
    "the ingress": {"Serve"},
    "a stranger": set(),
}


@pytest.fixture(scope="module")
def clients(dev: None) -> Iterator[dict[str, tuple[str, str, str]]]:
    """Pods to ask from: namespace, pod, container."""
    for name, ingress in ((STRANGERS, "false"), (INGRESS, "true")):
        apply(SPACE.format(name=name, ingress=ingress))
        apply(CLIENT.format(name="client", role="none"), namespace=name)
    apply(CLIENT.format(name="schedule-probe", role="submitter"), namespace=NAMESPACE)
    made = {
        "a schedule": (NAMESPACE, "schedule-probe", "client"),
        "the ingress": (INGRESS, "client", "client"),
        "a stranger": (STRANGERS, "client", "client"),
    }
    for namespace, pod, _ in made.values():
        kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=120s", seconds=130.0)
    yield {
        "Ray's head": (NAMESPACE, wait_for("a head", head, 60.0), "ray-head"),
        "Ray's worker": (NAMESPACE, pods(RAY_WORKER)[0]["metadata"]["name"], "ray-worker"),
        "a broker": (NAMESPACE, "kafka-1", "kafka"),
        "the exchange": (NAMESPACE, pods("app=exchange")[0]["metadata"]["name"], "exchange"),
        "PostgreSQL": (NAMESPACE, "postgres-0", "postgres"),
        **made,
    }
    kubectl("-n", NAMESPACE, "delete", "pod", "schedule-probe", "--wait=false")
    kubectl("delete", "namespace", STRANGERS, INGRESS, "--wait=false")


@pytest.mark.parametrize("client", MAY)
def test_a_client_reaches_what_it_may_and_nothing_else(client: str, clients: dict[str, tuple[str, str, str]]) -> None:
    expected = MAY[client]
    # Pods are looked at every two seconds; a new one is open until then.
    wait_for(f"{client} to be held to {sorted(expected)}", lambda: reached(*clients[client]) == expected, 120.0)


def test_the_probe_itself_works_where_no_policy_is(clients: dict[str, tuple[str, str, str]]) -> None:
    assert connected(*clients["a stranger"], ["kubernetes.default/443"]) == {"kubernetes.default/443"}


def reached(namespace: str, pod: str, container: str) -> set[str]:
    """Return the names of the servers to which a client's pod can connect."""
    addresses = {name: f"{host}.{NAMESPACE}.svc.cluster.local/{port}" for name, (host, port) in SERVERS.items()}
    open_ones = connected(namespace, pod, container, list(addresses.values()))
    return {name for name, address in addresses.items() if address in open_ones}


def connected(namespace: str, pod: str, container: str, addresses: list[str]) -> set[str]:
    """Return the addresses (host/port) to which a pod can connect; bash does it, for every image has that."""
    words = ("-n", namespace, "exec", pod, "-c", container, "--", "bash", "-c", PROBE, "probe", *addresses)
    return set(kubectl(*words, seconds=180.0).split())
