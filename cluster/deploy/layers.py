"""In which order an overlay's objects come: what is stood on first."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.deploy.manifests import Manifest

GROUND = "ground"
"""What pods are given and bound by: namespace, accounts, settings, policies, quotas."""

INFRASTRUCTURE = "infrastructure"
"""Brokers, databases, and whatever else runs by itself."""

MIGRATION = "migration"
APPLICATIONS = "applications"
"""Ray clusters, Serve applications, schedules, what watches them."""

NETWORKING = "networking"
"""Ways in from outside."""

_LAYER_OF = {
    **dict.fromkeys(
        (
            "Namespace",
            "PriorityClass",
            "ResourceQuota",
            "LimitRange",
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "ClusterRole",
            "ClusterRoleBinding",
            "SecretStore",
            "ExternalSecret",
            "Secret",
            "ConfigMap",
            # Before the pods they guard.
            "NetworkPolicy",
        ),
        GROUND,
    ),
    **dict.fromkeys(
        (
            "PersistentVolumeClaim",
            "Service",
            "StatefulSet",
            "Deployment",
            "DaemonSet",
            "PodDisruptionBudget",
            "HorizontalPodAutoscaler",
            "Kafka",
            "KafkaNodePool",
            "KafkaTopic",
        ),
        INFRASTRUCTURE,
    ),
    "Job": MIGRATION,
    **dict.fromkeys(
        ("Ingress", "Gateway", "GatewayClass", "HTTPRoute", "GRPCRoute", "Certificate", "Issuer", "Middleware"),
        NETWORKING,
    ),
}


def layer_of(manifest: Manifest) -> str:
    """Return the layer of an object; what no other layer claims is an application."""
    return _LAYER_OF.get(manifest["kind"], APPLICATIONS)


def layer(manifests: Iterable[Manifest], *names: str) -> tuple[Manifest, ...]:
    """Return the objects of the layers, in their order."""
    return tuple(one for one in manifests if layer_of(one) in names)
