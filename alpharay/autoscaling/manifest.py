"""A HorizontalPodAutoscaler from its Kubernetes document, defaulted and checked as the API server does it."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from alpharay.autoscaling.document import AutoscalerDocumentError, Section
from alpharay.autoscaling.horizontal_pod_autoscaler import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    AverageValue,
    Behavior,
    ExternalMetric,
    HorizontalPodAutoscaler,
    Metric,
    ObjectMetric,
    PodsMetric,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
    TotalValue,
    Utilization,
)
from alpharay.autoscaling.label_selector import printed_selector
from alpharay.autoscaling.machine_numbers import MAX_INT32
from alpharay.autoscaling.quantity import approximate_float, milli_value

DEFAULT_METRICS: tuple[Metric, ...] = (ResourceMetric("cpu", Utilization(80)),)
LONGEST_WINDOW_S = 3600
LONGEST_PERIOD_S = 1800
_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
_SELECT_POLICIES: tuple[SelectPolicy, ...] = ("Max", "Min", "Disabled")


def read_yaml(text: str, *, scale_to_zero: bool = False) -> HorizontalPodAutoscaler:
    """Return the autoscaler of one YAML document; raises AutoscalerDocumentError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AutoscalerDocumentError(f"the document is no YAML: {error}") from error
    return read_manifest(document, scale_to_zero=scale_to_zero)


def read_manifest(document: object, *, scale_to_zero: bool = False) -> HorizontalPodAutoscaler:
    """Return the autoscaler of a document in Kubernetes' form; raises AutoscalerDocumentError.

    `scale_to_zero` is the cluster's feature gate: without it `minReplicas` is at least one.
    """
    if not isinstance(document, Mapping):
        raise AutoscalerDocumentError(f"the document must be a mapping, was {document!r}")
    if document.get("kind") != "HorizontalPodAutoscaler":
        raise AutoscalerDocumentError(f"kind must be HorizontalPodAutoscaler, was {document.get('kind')!r}")
    if document.get("apiVersion") != "autoscaling/v2":
        raise AutoscalerDocumentError(f"apiVersion must be autoscaling/v2, was {document.get('apiVersion')!r}")
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise AutoscalerDocumentError(f"metadata must be a mapping, was {metadata!r}")
    fields = ("scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior")
    return read_specification(
        Section(document.get("spec"), "spec", fields),
        name=str(metadata.get("name", "autoscaler")),
        namespace=str(metadata.get("namespace", "default")),
        scale_to_zero=scale_to_zero,
    )


def read_specification(
    specification: Section, *, name: str, namespace: str, scale_to_zero: bool
) -> HorizontalPodAutoscaler:
    """Return the autoscaler of a `spec`; raises AutoscalerDocumentError."""
    if specification.has("scaleTargetRef"):
        specification.section("scaleTargetRef", ("apiVersion", "kind", "name"))
    metric_fields = ("type", *_SOURCES.values())
    metrics = tuple(_metric(metric) for metric in specification.sections("metrics", metric_fields)) or DEFAULT_METRICS
    minimum, maximum = read_bounds(specification, lowest=0 if scale_to_zero else 1)
    if minimum == 0 and not any(isinstance(metric, ObjectMetric | ExternalMetric) for metric in metrics):
        raise specification.refuse("minReplicas", "may be zero only with an Object or External metric")
    return HorizontalPodAutoscaler(
        minimum, maximum, metrics, read_behavior(specification), name=name, namespace=namespace
    )


def read_bounds(section: Section, *, lowest: int = 1) -> tuple[int, int]:
    """Return `minReplicas`, one when it is not written, and `maxReplicas`."""
    minimum = section.integer("minReplicas", minimum=lowest, otherwise=1)
    maximum = section.integer("maxReplicas", minimum=1)
    if maximum < minimum:
        raise section.refuse("maxReplicas", f"must be at least minReplicas, {minimum}")
    return minimum, maximum


def read_behavior(section: Section) -> Behavior | None:
    """Return `behavior`, None when it is not written; an empty one has both directions' defaults."""
    if not section.has("behavior"):
        return None
    behavior = section.section("behavior", ("scaleUp", "scaleDown"))
    return Behavior(_rules(behavior, "scaleUp", DEFAULT_SCALE_UP), _rules(behavior, "scaleDown", DEFAULT_SCALE_DOWN))


def _rules(behavior: Section, direction: str, defaults: ScalingRules) -> ScalingRules:
    if not behavior.has(direction):
        return defaults
    rules = behavior.section(direction, ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance"))
    policies = tuple(_policy(policy) for policy in rules.sections("policies", ("type", "value", "periodSeconds")))
    stabilization_s = defaults.stabilization_s
    if rules.has("stabilizationWindowSeconds"):
        stabilization_s = rules.integer("stabilizationWindowSeconds", minimum=0, maximum=LONGEST_WINDOW_S)
    tolerance = None
    if rules.has("tolerance"):
        tolerance = approximate_float(rules.quantity("tolerance", positive=False))
    return ScalingRules(
        policies=policies or defaults.policies,
        select_policy=rules.choice("selectPolicy", _SELECT_POLICIES, otherwise=defaults.select_policy),
        stabilization_s=stabilization_s,
        tolerance=tolerance,
    )


def _policy(policy: Section) -> ScalingPolicy:
    return ScalingPolicy(
        kind=policy.choice("type", ("Pods", "Percent")),
        value=policy.integer("value", minimum=1),
        period_s=policy.integer("periodSeconds", minimum=1, maximum=LONGEST_PERIOD_S),
    )


def _metric(metric: Section) -> Metric:
    kind = metric.choice("type", tuple(_SOURCES))
    for other, source in _SOURCES.items():
        if other != kind and metric.has(source):
            raise metric.refuse(source, f"may not stand in a metric of type {kind}")
    if kind in ("Resource", "ContainerResource"):
        return _resource_metric(metric, kind)
    if kind == "Pods":
        pods = metric.section("pods", ("metric", "target"))
        return PodsMetric(_identifier(pods)[0], AverageValue(_milli(_target(pods), "averageValue")))
    if kind == "Object":
        described = metric.section("object", ("describedObject", "metric", "target"))
        subject = described.section("describedObject", ("apiVersion", "kind", "name"))
        name, selector = _identifier(described)
        return ObjectMetric(subject.text("kind"), subject.text("name"), name, _object_target(described), selector)
    external = metric.section("external", ("metric", "target"))
    name, selector = _identifier(external)
    return ExternalMetric(name, _external_target(external), selector)


def _resource_metric(metric: Section, kind: str) -> ResourceMetric:
    if kind == "Resource":
        source = metric.section("resource", ("name", "target"))
        return ResourceMetric(source.text("name"), _resource_target(source))
    source = metric.section("containerResource", ("name", "container", "target"))
    return ResourceMetric(source.text("name"), _resource_target(source), source.text("container"))


def _identifier(source: Section) -> tuple[str, str]:
    metric = source.section("metric", ("name", "selector"))
    name = metric.text("name")
    if name in (".", "..") or "/" in name or "%" in name:
        raise metric.refuse("name", "may not be a path")
    if not metric.has("selector"):
        return name, "nil"
    return name, printed_selector(metric.section("selector", ("matchLabels", "matchExpressions")))


def _target(source: Section) -> Section:
    target = source.section("target", ("type", "value", "averageValue", "averageUtilization"))
    target.choice("type", ("Utilization", "Value", "AverageValue"))
    for name in ("value", "averageValue"):
        if target.has(name):
            target.quantity(name, positive=True)
    if target.has("averageUtilization"):
        target.integer("averageUtilization", minimum=1, maximum=MAX_INT32)
    return target


def _resource_target(source: Section) -> Utilization | AverageValue:
    target = _target(source)
    if target.has("averageUtilization") == target.has("averageValue"):
        raise target.refuse("averageUtilization", "or averageValue must be written, and only one of them")
    if target.has("averageValue"):
        return AverageValue(_milli(target, "averageValue"))
    return Utilization(target.integer("averageUtilization", minimum=1))


def _external_target(source: Section) -> TotalValue | AverageValue:
    target = _target(source)
    if target.has("value") == target.has("averageValue"):
        raise target.refuse("value", "or averageValue must be written, and only one of them")
    if target.has("averageValue"):
        return AverageValue(_milli(target, "averageValue"))
    return TotalValue(_milli(target, "value"))


def _object_target(source: Section) -> TotalValue | AverageValue:
    target = _target(source)
    if target.choice("type", ("Utilization", "Value", "AverageValue")) == "Value":
        return TotalValue(_milli(target, "value"))
    return AverageValue(_milli(target, "averageValue"))


def _milli(target: Section, name: str) -> int:
    if not target.has(name):
        raise target.refuse(name, "is missing")
    milli = milli_value(target.quantity(name, positive=True))
    if milli == 0:
        raise target.refuse(name, "must be below 9,223,372,036,854,775")
    return milli
