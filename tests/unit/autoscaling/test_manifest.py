"""HorizontalPodAutoscalers as they are written: the seeds' own, defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from alpharay.autoscaling.document import AutoscalerDocumentError
from alpharay.autoscaling.helm_values import read_helm_values
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    AverageValue,
    Behavior,
    ExternalMetric,
    HorizontalPodAutoscaler,
    ObjectMetric,
    PodsMetric,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
    TotalValue,
    Utilization,
)
from alpharay.autoscaling.manifest import read_manifest, read_yaml

API_SERVICE = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: api-service-hpa
  namespace: trading
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: api-service
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource:
      name: cpu
      target:
        type: Utilization
        averageUtilization: 70
  - type: Resource
    resource:
      name: memory
      target:
        type: Utilization
        averageUtilization: 80
"""
INGESTION_VALUES = """
autoscaling:
  enabled: true
  minReplicas: 2
  maxReplicas: 10
  targetCPUUtilizationPercentage: 70
  targetMemoryUtilizationPercentage: 80
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 60
      policies:
      - type: Percent
        value: 100    # Scale up by 100% quickly
        periodSeconds: 30
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
      - type: Percent
        value: 10     # Scale down slowly (10%)
        periodSeconds: 60
"""


def manifest(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "spec": {"maxReplicas": 5, **spec},
    }


def with_metric(**metric: object) -> dict[str, Any]:
    return manifest(metrics=[metric])


def cpu(**target: object) -> dict[str, Any]:
    return with_metric(type="Resource", resource={"name": "cpu", "target": target})


def test_the_hpa_of_the_seeds_api_service_is_read() -> None:
    assert read_yaml(API_SERVICE) == HorizontalPodAutoscaler(
        2,
        10,
        (ResourceMetric("cpu", Utilization(70)), ResourceMetric("memory", Utilization(80))),
        None,
        name="api-service-hpa",
        namespace="trading",
    )


def test_the_helm_values_of_the_seeds_ingestion_are_read() -> None:
    autoscaler = read_helm_values(yaml.safe_load(INGESTION_VALUES), name="ingestion")
    assert autoscaler == HorizontalPodAutoscaler(
        2,
        10,
        (ResourceMetric("cpu", Utilization(70)), ResourceMetric("memory", Utilization(80))),
        Behavior(
            ScalingRules((ScalingPolicy("Percent", 100, 30),), stabilization_s=60),
            ScalingRules((ScalingPolicy("Percent", 10, 60),), stabilization_s=300),
        ),
        name="ingestion",
    )


def test_helm_values_that_are_not_enabled_make_no_autoscaler() -> None:
    assert read_helm_values({"autoscaling": {"enabled": False, "maxReplicas": 3}}) is None


def test_helm_values_without_enabled_are_enabled_as_the_seeds_overview_writes_them() -> None:
    autoscaler = read_helm_values(
        {"replicaCount": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}}
    )
    assert autoscaler == HorizontalPodAutoscaler(1, 3, (ResourceMetric("cpu", Utilization(60)),))


def test_what_is_not_written_has_kubernetes_defaults() -> None:
    autoscaler = read_manifest(manifest())
    assert autoscaler.min_replicas == 1
    assert autoscaler.metrics == (ResourceMetric("cpu", Utilization(80)),)
    assert autoscaler.behavior is None


def test_an_empty_behavior_is_both_directions_defaults() -> None:
    assert read_manifest(manifest(behavior={})).behavior == Behavior(DEFAULT_SCALE_UP, DEFAULT_SCALE_DOWN)


def test_a_window_keeps_the_default_policies_and_an_empty_list_counts_as_not_given() -> None:
    rules = {"stabilizationWindowSeconds": 60, "policies": []}
    behavior = read_manifest(manifest(behavior={"scaleUp": rules})).behavior
    assert behavior is not None
    assert behavior.scale_up == ScalingRules(DEFAULT_SCALE_UP.policies, stabilization_s=60)


def test_policies_replace_the_default_list() -> None:
    policies = [{"type": "Pods", "value": 2, "periodSeconds": 60}]
    behavior = read_manifest(manifest(behavior={"scaleUp": {"policies": policies, "selectPolicy": "Min"}})).behavior
    assert behavior is not None
    assert behavior.scale_up.policies == (ScalingPolicy("Pods", 2, 60),)
    assert behavior.scale_up.select_policy == "Min"
    assert behavior.scale_up.stabilization_s == 0


def test_every_kind_of_metric_is_read() -> None:
    selector = {"matchLabels": {"zone": "b", "app": "web"}}
    metrics = [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "memory",
                "container": "app",
                "target": {"type": "AverageValue", "averageValue": "256Mi"},
            },
        },
        {
            "type": "Pods",
            "pods": {"metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "1.5"}},
        },
        {
            "type": "Object",
            "object": {
                "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "front"},
                "metric": {"name": "rate"},
                "target": {"type": "Value", "value": "2k"},
            },
        },
        {
            "type": "External",
            "external": {
                "metric": {"name": "lag", "selector": selector},
                "target": {"type": "AverageValue", "averageValue": 30},
            },
        },
    ]
    assert read_manifest(manifest(metrics=metrics)).metrics == (
        ResourceMetric("memory", AverageValue(256 * 2**20 * 1000), "app"),
        PodsMetric("load", AverageValue(1500)),
        ObjectMetric("Service", "front", "rate", TotalValue(2_000_000)),
        ExternalMetric(
            "lag",
            AverageValue(30_000),
            "&LabelSelector{MatchLabels:map[string]string{app: web,zone: b,},"
            "MatchExpressions:[]LabelSelectorRequirement{},}",
        ),
    )


def test_zero_replicas_need_the_gate_and_a_metric_that_exists_without_pods() -> None:
    external = {
        "type": "External",
        "external": {"metric": {"name": "lag"}, "target": {"type": "Value", "value": "1"}},
    }
    assert read_manifest(manifest(minReplicas=0, metrics=[external]), scale_to_zero=True).min_replicas == 0
    with pytest.raises(AutoscalerDocumentError, match=r"spec\.minReplicas must be a whole number of at least 1, was 0"):
        read_manifest(manifest(minReplicas=0, metrics=[external]))
    with pytest.raises(AutoscalerDocumentError, match=r"spec\.minReplicas may be zero only with an Object or External"):
        read_manifest(manifest(minReplicas=0), scale_to_zero=True)


UP = {"type": "Pods", "value": 1, "periodSeconds": 60}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"the document must be a mapping, was \[\]"),
        ({"kind": "Deployment"}, r"kind must be HorizontalPodAutoscaler, was 'Deployment'"),
        (
            {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v1"},
            r"apiVersion must be autoscaling/v2, was 'autoscaling/v1'",
        ),
        ({**manifest(), "spec": None}, r"spec must be a mapping, was None"),
        ({**manifest(), "spec": {}}, r"spec\.maxReplicas is missing"),
        (manifest(maxReplicas=0), r"spec\.maxReplicas must be a whole number of at least 1, was 0"),
        (manifest(maxReplicas="5"), r"spec\.maxReplicas must be a whole number of at least 1, was '5'"),
        (manifest(maxReplicas=True), r"spec\.maxReplicas must be a whole number of at least 1, was True"),
        (manifest(maxReplicas=2**31), r"spec\.maxReplicas must be a whole number.*was 2147483648"),
        (manifest(minReplicas=9), r"spec\.maxReplicas must be at least minReplicas, 9, was 5"),
        (manifest(maxReplica=9), r"spec\.maxReplica is not known here; known are behavior, maxReplicas"),
        (manifest(metrics={}), r"spec\.metrics must be a list, was \{\}"),
        (manifest(metrics=["cpu"]), r"spec\.metrics\[0\] must be a mapping, was 'cpu'"),
        (with_metric(), r"spec\.metrics\[0\]\.type must be one of Resource, .*was None"),
        (with_metric(type="Cpu"), r"spec\.metrics\[0\]\.type must be one of Resource, .*was 'Cpu'"),
        (with_metric(type="Resource"), r"spec\.metrics\[0\]\.resource is missing"),
        (with_metric(type="Pods", resource={}), r"spec\.metrics\[0\]\.resource may not stand in a metric of type Pods"),
        (
            cpu(type="Utilization", averageUtilization=0),
            r"spec\.metrics\[0\]\.resource\.target\.averageUtilization must be a whole number of at least 1, was 0",
        ),
        (
            cpu(type="Utilisation", averageUtilization=70),
            r"resource\.target\.type must be one of Utilization, Value, AverageValue, was 'Utilisation'",
        ),
        (
            cpu(type="Utilization"),
            r"averageUtilization or averageValue must be written, and only one of them, was None",
        ),
        (cpu(type="AverageValue", averageValue="0"), r"averageValue must be above zero, was '0'"),
        (cpu(type="AverageValue", averageValue="9E"), r"averageValue must be below 9,223,372,036,854,775, was '9E'"),
        (cpu(type="AverageValue", averageValue="1 core"), r"target\.averageValue: a quantity is .* was '1 core'"),
        (
            with_metric(
                type="Pods", pods={"metric": {"name": "a/b"}, "target": {"type": "AverageValue", "averageValue": 1}}
            ),
            r"pods\.metric\.name may not be a path, was 'a/b'",
        ),
        (
            with_metric(type="Pods", pods={"metric": {"name": "load"}, "target": {"type": "AverageValue", "value": 1}}),
            r"pods\.target\.averageValue is missing",
        ),
        (
            with_metric(
                type="External",
                external={"metric": {"name": "lag"}, "target": {"type": "Value", "value": 1, "averageValue": 1}},
            ),
            r"external\.target\.value or averageValue must be written, and only one of them, was 1",
        ),
        (
            manifest(behavior={"scaleUp": {"tolerance": "-0.1"}}),
            r"scaleUp\.tolerance must not be below zero, was '-0.1'",
        ),
        (
            manifest(behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}}),
            r"scaleDown\.stabilizationWindowSeconds must be a whole number from 0 to 3600, was 3601",
        ),
        (manifest(behavior={"scaleUp": {"selectPolicy": "max"}}), r"scaleUp\.selectPolicy must be one of .*was 'max'"),
        (
            manifest(behavior={"scaleUp": {"policies": [UP, {**UP, "periodSeconds": 1801}]}}),
            r"spec\.behavior\.scaleUp\.policies\[1\]\.periodSeconds must be a whole number from 1 to 1800, was 1801",
        ),
        (
            manifest(behavior={"scaleUp": {"policies": [{**UP, "value": 0}]}}),
            r"policies\[0\]\.value must be a whole number of at least 1, was 0",
        ),
        (manifest(behavior={"scaleSideways": {}}), r"spec\.behavior\.scaleSideways is not known here"),
    ],
)
def test_a_mistake_is_refused_with_its_field_and_value(document: object, message: str) -> None:
    with pytest.raises(AutoscalerDocumentError, match=message):
        read_manifest(document)


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(AutoscalerDocumentError, match="the document is no YAML"):
        read_yaml("spec: [")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"autoscaling must be a mapping, was None"),
        (
            {"autoscaling": {"enabled": "yes", "maxReplicas": 2}},
            r"autoscaling\.enabled must be true or false, was 'yes'",
        ),
        (
            {"autoscaling": {"maxReplicas": 2, "targetCPUUtilizationPercentage": "70%"}},
            r"autoscaling\.targetCPUUtilizationPercentage must be a whole number of at least 1, was '70%'",
        ),
        ({"autoscaling": {"maxReplicas": 2, "targetCPU": 70}}, r"autoscaling\.targetCPU is not known here"),
    ],
)
def test_a_mistake_in_helm_values_is_refused_with_its_field_and_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(AutoscalerDocumentError, match=message):
        read_helm_values(values)


def test_an_autoscaler_that_could_not_decide_is_none() -> None:
    with pytest.raises(ValueError, match="replicas must be from 0 and in order, were 3 to 2"):
        HorizontalPodAutoscaler(3, 2, (ResourceMetric("cpu", Utilization(80)),))
    with pytest.raises(ValueError, match=r"metrics must hold at least one, was \(\)"):
        HorizontalPodAutoscaler(1, 2, ())
