"""What makes this machine a node: kubelet, kube-proxy, and the names of services."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from cluster.local.process import child_environment, end, launch
from tests.kubernetes.node.control_plane import wait_until
from tests.kubernetes.node.folders import (
    CERTIFICATES,
    CONTAINERD_SOCKET,
    KUBECONFIG,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    RUN,
    part,
)
from tests.kubernetes.node.kubectl import says
from tests.kubernetes.node.network import server
from tests.kubernetes.node.programs import program

PARTS = ("kubelet", "kube-proxy", "coredns")
ROOT = RUN / "kubelet-data"


def start() -> None:
    """Start the node's own programs; return once it is Ready."""
    _launch("kubelet", f"--config={_write('kubelet', _kubelet())}", *_kubelet_flags())
    _launch("kube-proxy", f"--config={_write('kube-proxy', _proxy())}")
    (part("coredns") / "Corefile").write_text(_names())
    _launch("coredns", "-conf", str(part("coredns") / "Corefile"))
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    wait_until("the node is ready", lambda: says("get", "node", NODE, "-o", f"jsonpath={ready}") == "True", "kubelet")


def stop() -> None:
    """End the node's programs and give back what its pods had mounted."""
    for name in PARTS:
        end(part(name), patience_seconds=5.0)


def unmount() -> None:
    """Unmount what pods and containers left."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        target = line.split()[4]
        if target.startswith((str(ROOT), str(RUN / "containerd-state"))):
            subprocess.run(["umount", "--lazy", target], capture_output=True, check=False, timeout=30)


def remove_cgroups() -> None:
    """Remove the groups that the kubelet made."""
    for controller in Path("/sys/fs/cgroup").iterdir():
        root = controller / "kubepods"
        if root.is_dir():
            folders = sorted((path for path in root.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            for folder in (*folders, root):
                folder.rmdir()


def _launch(name: str, *arguments: str) -> None:
    launch(part(name), server([program(name), *arguments]), environment=child_environment())


def _write(name: str, configuration: dict[str, object]) -> Path:
    file = part(name) / "config.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return file


def _kubelet_flags() -> list[str]:
    return [
        f"--kubeconfig={KUBECONFIG}",
        f"--root-dir={ROOT}",
        f"--cert-dir={ROOT / 'pki'}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    ]


def _kubelet() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(CERTIFICATES / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        # The machine may still have cgroups of version 1.
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "oomScoreAdj": 0,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "podLogsDir": str(RUN / "pod-logs"),
        "maxPods": 110,
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(KUBECONFIG)},
        "mode": "nftables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NODE,
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # These are the whole machine's settings: leave them.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _names() -> str:
    return f"""\
.:53 {{
  bind {NODE_ADDRESS}
  errors
  health 127.0.0.1:18080
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {KUBECONFIG}
    pods insecure
    ttl 5
  }}
  cache 5
}}
"""
