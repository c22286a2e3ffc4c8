"""The state of a cluster as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alpharay.cli.tables import figures_table
from cluster.deploy.status import Pod, Status

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_MEBIBYTE = 1024.0**2


def show(status: Status, console: Console) -> None:
    """Print the page: what is wrong first, then each part with its figures."""
    console.print(Text.assemble((status.namespace, "bold"), f", revision {status.revision}"))
    word = ("all is well", "bold green") if status.is_well else ("something needs a look", "bold red")
    console.print(Text(*word))
    for what, why in status.unknown.items():
        console.print(Text(f"not known: {what}: {why}", style="yellow"), soft_wrap=True)
    console.print()
    console.print(_pods(status.pods))
    _section(console, "schedules", ("schedule", "state", "when", "last success"), _schedules(status))
    _section(console, "Ray nodes", ("node", "kind", "processors", "memory"), _ray_nodes(status))
    _section(console, "applications", ("deployment", "state", "replicas", "wanted", "most"), _deployments(status))
    lags = [(f"{one.topic} → {one.group}", f"{one.messages:,.0f}") for one in status.lags]
    _section(console, "consumers", ("topic and group", "messages behind"), lags)
    markets = [
        (f"{one.exchange} {one.symbol} {one.timeframe}", span(one.age_s), f"{one.timeframes:.1f}")
        for one in status.markets
    ]
    _section(console, "candles", ("market", "newest closed", "time frames ago"), markets)
    for schedule in status.schedules:
        if schedule.failed_job:
            said = f"✗ schedule {schedule.name}: kubectl -n {status.namespace} logs job/{schedule.failed_job}"
            console.print(Text(said, style="red"), soft_wrap=True)
    for alert in status.alerts:
        console.print(Text(f"✗ {alert.name}: {alert.text}", style="red"), soft_wrap=True)
    if not status.alerts:
        console.print(Text("no alert", style="green" if not status.unknown else "dim"))


def span(seconds: float) -> str:
    """Return a length of time as people say it: 90 s, 12 min, 5 h, 3 days."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def _pods(pods: Iterable[Pod]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "pod", "ready", "restarts", "age", "state"):
        table.add_column(
            heading, justify="right" if heading in {"restarts", "age"} else "left", no_wrap=heading != "state"
        )
    for pod in pods:
        mark = Text("✗", style="red") if not pod.is_well else Text("✓" if pod.is_ready else "…", style="green")
        ready = f"{pod.ready} of {pod.containers}"
        table.add_row(
            mark, pod.name, ready, str(pod.restarts), span(pod.age_s), Text("; ".join((pod.phase, *pod.complaints)))
        )
    return table


def _schedules(status: Status) -> Sequence[tuple[str, ...]]:
    return [
        (one.name, one.state, one.schedule, "" if one.success_age_s is None else f"{span(one.success_age_s)} ago")
        for one in status.schedules
    ]


def _ray_nodes(status: Status) -> Sequence[tuple[str, ...]]:
    return [
        (
            one.name,
            one.kind,
            f"{one.resources.get('CPU', 0):g}",
            f"{one.resources.get('memory', 0) / _MEBIBYTE:,.0f} MiB",
        )
        for one in status.ray_nodes
    ]


def _deployments(status: Status) -> Sequence[tuple[str, ...]]:
    rows = []
    for one in status.deployments:
        state = one.status if not one.message else f"{one.status}: {one.message}"
        most = "" if one.most is None else str(one.most)
        rows.append((f"{one.application} {one.name}".strip(), state, str(one.running), str(one.wanted), most))
    return rows


def _section(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        console.print(Text(f"\n{title}", style="bold"))
        console.print(figures_table(headings, rows))
