"""etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

import time

from cluster.local.process import child_environment, end, launch, log_tail, running
from tests.kubernetes.node.folders import (
    CERTIFICATES,
    KUBECONFIG,
    NODE_ADDRESS,
    RUN,
    SERVICE_NETWORK,
    part,
)
from tests.kubernetes.node.kubectl import kubectl, says
from tests.kubernetes.node.network import server
from tests.kubernetes.node.programs import program

PARTS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
"""In the order in which they end."""

START_SECONDS = 120.0
_ETCD, _PEERS = "http://127.0.0.1:12379", "http://127.0.0.1:12380"


def start() -> None:
    """Start the control plane; return once it can take pods."""
    _launch("etcd", *_etcd())
    _launch("kube-apiserver", *_api_server())
    wait_until("the API server is ready", lambda: says("get", "--raw", "/readyz") == "ok", "kube-apiserver")
    _launch("kube-controller-manager", *_controllers())
    _launch("kube-scheduler", f"--kubeconfig={KUBECONFIG}", "--leader-elect=false", "--bind-address=127.0.0.1")
    # The kubelet remembers a refusal: the server may read logs before the first one asks.
    kubectl(
        *("create", "clusterrolebinding", "apiserver-kubelet"),
        *("--clusterrole=system:kubelet-api-admin", "--user=kube-apiserver"),
    )
    wait_until(
        "the default service account is there",
        lambda: says("get", "serviceaccount", "default", "-o", "name") != "",
        "kube-controller-manager",
    )


def stop() -> None:
    """End the control plane."""
    for name in PARTS:
        # The API server waits a minute for its watchers when it is asked.
        end(part(name), patience_seconds=1.0)


def wait_until(what: str, holds: object, owner: str, seconds: float = START_SECONDS) -> None:
    """Wait until `holds()` is true; raises TimeoutError with the log of the part it depends on."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        if running(part(owner)) is None or time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain until {what}; {owner} says:\n{log_tail(part(owner))}")
        time.sleep(0.2)


def is_running() -> bool:
    """Tell whether the API server's process is there, ready or not."""
    return RUN.exists() and running(part("kube-apiserver")) is not None


def _launch(name: str, *arguments: str) -> None:
    launch(part(name), server([program(name), *arguments]), environment=child_environment())


def _etcd() -> list[str]:
    return [
        f"--data-dir={RUN / 'etcd-data'}",
        # A node that is thrown away needs no write to reach the disk.
        "--unsafe-no-fsync",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        f"--listen-peer-urls={_PEERS}",
        f"--initial-advertise-peer-urls={_PEERS}",
        f"--initial-cluster=default={_PEERS}",
    ]


def _api_server() -> list[str]:
    file = CERTIFICATES
    return [
        f"--etcd-servers={_ETCD}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=6443",
        f"--tls-cert-file={file / 'apiserver.crt'}",
        f"--tls-private-key-file={file / 'apiserver.key'}",
        f"--client-ca-file={file / 'ca.crt'}",
        f"--kubelet-client-certificate={file / 'apiserver.crt'}",
        f"--kubelet-client-key={file / 'apiserver.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={file / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={file / 'service-accounts.key'}",
        f"--token-auth-file={file / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--allow-privileged=true",
    ]


def _controllers() -> list[str]:
    return [
        f"--kubeconfig={KUBECONFIG}",
        "--leader-elect=false",
        f"--service-account-private-key-file={CERTIFICATES / 'service-accounts.key'}",
        f"--root-ca-file={CERTIFICATES / 'ca.crt'}",
        f"--cluster-signing-cert-file={CERTIFICATES / 'ca.crt'}",
        f"--cluster-signing-key-file={CERTIFICATES / 'ca.key'}",
        "--bind-address=127.0.0.1",
        "--controllers=*,-nodeipam,-cloud-node-lifecycle",
        # 50 s unless told: hundreds of fake nodes on a busy machine are later than that, and each of their
        # pods would be marked as not ready for good.
        "--node-monitor-grace-period=300s",
    ]
