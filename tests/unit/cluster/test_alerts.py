"""Dashboards and rules ask for what exists, and say what is to be done."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
import yaml

from cluster.alert_rules import COPY, plain_rules
from cluster.dashboards import DASHBOARDS, FOLDER, text
from tests.unit.cluster.rendered import CLUSTER, COMPONENTS

RULES = COMPONENTS / "observability-rules/rules.yaml"
OURS = (CLUSTER.parent / "docs/observability.md").read_text()
# Of kube-state-metrics: its documents call the first stable and the second experimental.
KUBE_STATE = {"kube_cronjob_created", "kube_cronjob_status_last_successful_time"}


def groups() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"]]


def queries() -> list[tuple[str, str]]:
    """Return every query with the name of what asks it."""
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]
    for dashboard in DASHBOARDS:
        asked += [(panel.title, query) for panel in dashboard.panels for query in panel.queries.values()]
    return asked


def metrics(query: str) -> set[str]:
    """Return the names of series in a query: no function, no label, nothing in quotes or brackets."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)', " ", query)
    return set(re.findall(r"\b(?:alpharay|ray|kube)_\w+", bare))


@lru_cache
def rays_own() -> str:
    """Return the sources in which Ray's wheel names its metrics: the panels of its dashboards."""
    folder = Path(ray.__file__).parent / "dashboard/modules/metrics/dashboards"
    return "\n".join(path.read_text() for path in folder.glob("*_panels.py"))


def test_queries_ask_for_metrics_that_exist() -> None:
    for name, query in queries():
        found = metrics(query)
        assert found or "alpharay:http_errors" in query, name
        for metric in found:
            bare = re.sub(r"_(bucket|sum|count)$", "", metric)
            known = (
                f"`{bare}`" in OURS
                if metric.startswith("alpharay_")
                else metric in KUBE_STATE or re.search(rf"\b{metric}\b", rays_own()) is not None
            )
            assert known, (name, metric)


def test_an_alert_says_who_acts_what_is_wrong_and_where_to_look() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "look"}, rule["alert"]


def test_money_waits_for_nothing() -> None:
    (money,) = [group["rules"] for group in groups() if group["name"] == "alpharay-money"]
    at_once = {rule["alert"] for rule in money if "for" not in rule and rule["labels"]["severity"] == "page"}
    assert at_once == {"LedgerIsOutOfBalance", "BalancesDifferFromPostings"}


def test_the_files_of_dashboards_are_what_the_module_makes() -> None:
    for dashboard in DASHBOARDS:
        assert (FOLDER / f"{dashboard.name}.json").read_text() == text(dashboard), "run: python -m cluster.dashboards"
    names = sorted(f"{one.name}.json" for one in DASHBOARDS)
    assert sorted(path.name for path in FOLDER.glob("*.json")) == names
    (generator,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    assert sorted(generator["files"]) == names


def test_a_prometheus_without_an_operator_has_the_same_rules() -> None:
    assert COPY.read_text() == plain_rules(), "run: python -m cluster.alert_rules"


def test_a_prometheus_without_an_operator_names_series_as_the_monitor_does() -> None:
    (monitor,) = yaml.safe_load((COMPONENTS / "observability-rules/monitors.yaml").read_text())["spec"][
        "podMetricsEndpoints"
    ]
    job = yaml.safe_load((COPY.parent / "prometheus.yml").read_text())["scrape_configs"][0]
    assert (job["job_name"], monitor["interval"], monitor["scrapeTimeout"]) == ("ray", "30s", "20s")
    labels = {one["targetLabel"] for one in monitor["relabelings"]}
    assert {one["target_label"] for one in job["relabel_configs"] if "target_label" in one} == labels | {
        "namespace",
        "pod",
    }
    assert [one["regex"] for one in job["metric_relabel_configs"]] == [
        one["regex"] for one in monitor["metricRelabelings"]
    ]


def test_panels_share_no_place_and_are_of_the_chosen_environment() -> None:
    for dashboard in DASHBOARDS:
        panels = json.loads(text(dashboard))["panels"]
        places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
        assert len(places) == len(panels)
        for panel in panels:
            for target in panel["targets"]:
                assert 'namespace="$namespace"' in target["expr"], panel["title"]
