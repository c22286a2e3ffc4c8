"""The Gateway API: its definitions, and a controller (Traefik) that is a door to the node's Services."""

from __future__ import annotations

from cluster.local.process import child_environment, end, launch
from tests.kubernetes.node.folders import KUBECONFIG, NODE_ADDRESS, part
from tests.kubernetes.node.kubectl import apply, kubectl
from tests.kubernetes.node.network import server
from tests.kubernetes.node.programs import module_folder, tool

MODULE, VERSION = "sigs.k8s.io/gateway-api", "v1.4.0"
"""As in `go/traefik/go.mod`."""

CLASS = "alpharay"
ADDRESS = f"{NODE_ADDRESS}:80"
"""The port is the one of the listeners: Traefik opens none by itself."""

_CLASS = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: {CLASS}
spec:
  controllerName: traefik.io/gateway-controller
"""


def define() -> None:
    """Tell the API server of gateways and routes: the operator looks for them when it starts."""
    folder = module_folder(MODULE, VERSION) / "config/crd/standard"
    kubectl("apply", "--server-side", "-f", str(folder))


def start() -> None:
    """Start the controller as a process in the node's network, with the administrator's rights."""
    # One that a killed test left has the address.
    stop()
    apply(_CLASS)
    flags = [
        f"--entrypoints.web.address={ADDRESS}",
        "--providers.kubernetesgateway",
        f"--providers.kubernetesgateway.statusaddress.ip={NODE_ADDRESS}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    launch(
        part("traefik"),
        server([tool("traefik"), *flags]),
        environment=child_environment({"KUBECONFIG": str(KUBECONFIG)}),
    )


def stop() -> None:
    """End it."""
    end(part("traefik"), patience_seconds=2.0)
