"""`alpharay load-test`: a bounded load on a running service, drawn beside the replicas that answered it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from alpharay.cli.errors import errors_told
from alpharay.cli.tables import figures_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alpharay.load.load_test import LoadTest
    from alpharay.load.open_load import Outcome
    from alpharay.load.replica_watch import ReplicaCount, WatchedDeployment

SOME_FAILED = 1


def load_test(
    url: Annotated[str, typer.Argument(metavar="URL", help="What is asked: http://127.0.0.1:8000/health …")],
    rate: Annotated[float, typer.Option(help="Requests a second at the beginning.")] = 10.0,
    ramp_to: Annotated[float | None, typer.Option(help="Requests a second at the end; else as at first.")] = None,
    seconds: Annotated[float, typer.Option(help="How long, at most an hour.")] = 30.0,
    body: Annotated[str | None, typer.Option(help="JSON that is POSTed; without it the requests are GETs.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header of every request; may be repeated.")
    ] = None,
    most_in_flight: Annotated[int, typer.Option(help="So many wait for an answer at most.")] = 500,
    timeout: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 30.0,
    dashboard: Annotated[str | None, typer.Option(help="Ray's dashboard, to watch the replicas.")] = None,
    application: Annotated[str, typer.Option(help="The Serve application that is watched.")] = "signal",
    deployment: Annotated[str, typer.Option(help="Its deployment.")] = "SignalService",
    output: Annotated[Path | None, typer.Option(help="Write the drawing to this HTML file.")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Load another machine, which must be yours to load.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, second by second.")] = False,
) -> None:
    """Load a running service at a constant rate or a ramp, and draw requests, replicas and latency over time.

    Requests do not wait for the answers to others, as users do not; a latency counts from when its request was due.
    503 and 429 with Retry-After are turned away, everything else that is not 2xx has failed: then the exit status is 1.

    \b
    Examples:
      alpharay load-test http://127.0.0.1:8000/health --rate 50
      alpharay load-test http://127.0.0.1:8000/generate_signal --body '{"symbol": "SOL", "price": 100}'
          --rate 20 --ramp-to 200 --seconds 60 --dashboard http://127.0.0.1:8265 --output load.html
    """  # noqa: D301 - \b keeps the examples' lines as they are
    import asyncio

    import httpx

    from alpharay.load.load_test import LoadTest, run_load_test
    from alpharay.load.page import load_page
    from alpharay.load.ramp import Ramp
    from alpharay.load.series import by_second
    from alpharay.load.target import check_target

    with errors_told():
        check_target(url, allow_remote=allow_remote)
        test = LoadTest(
            url,
            Ramp(rate, rate if ramp_to is None else ramp_to, seconds),
            body=_json(body),
            headers=_headers(header or []),
            most_in_flight=most_in_flight,
            timeout_s=timeout,
            watched=_watched(dashboard, application, deployment),
        )
        try:
            outcomes, counts = asyncio.run(run_load_test(test))
        except httpx.HTTPError as error:
            raise RuntimeError(f"Ray's dashboard {dashboard} does not answer: {error!r}") from error
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(load_page(f"Load on {url}", by_second(outcomes), counts), encoding="utf-8")
    failed = _tell(test, outcomes, counts, output, as_json=as_json)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _tell(
    test: LoadTest,
    outcomes: Sequence[Outcome],
    counts: Sequence[ReplicaCount],
    output: Path | None,
    *,
    as_json: bool,
) -> int:
    """Print the summary and return how many requests failed."""
    from dataclasses import asdict

    from alpharay.load.series import by_second, figures

    totals = figures(outcomes)
    report = None if output is None else str(output.resolve())
    if as_json:
        answer = {
            "url": test.url,
            "report": report,
            **asdict(totals),
            "seconds": [asdict(one) for one in by_second(outcomes)],
            "replicas": [asdict(one) for one in counts],
        }
        typer.echo(json.dumps(answer))
        return totals.failed
    console = Console()
    rows = [(name.replace("_", " "), _shown(value)) for name, value in asdict(totals).items()]
    if counts:
        rows.append(("most replicas", str(max(one.running for one in counts))))
    console.print(figures_table(["load", test.url], rows))
    if report is not None:
        console.print(f"drawn in {report}", highlight=False, soft_wrap=True)
    return totals.failed


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _json(body: str | None) -> str | None:
    if body is not None:
        try:
            json.loads(body)
        except ValueError as error:
            raise ValueError(f"--body must be JSON, was {body[:100]!r}: {error}") from error
    return body


def _headers(written: list[str]) -> dict[str, str]:
    """Return the headers; a value is never repeated in an error, it may be a key."""
    headers = {}
    for one in written:
        name, colon, value = one.partition(":")
        if not (colon and name.strip() and value.strip()):
            raise ValueError(f"--header must be NAME:VALUE, was one that begins with {name.strip()[:30]!r}")
        headers[name.strip()] = value.strip()
    return headers


def _watched(dashboard: str | None, application: str, deployment: str) -> WatchedDeployment | None:
    from alpharay.load.replica_watch import WatchedDeployment
    from alpharay.settings import settings
    from cluster.local.ray_token import authorization

    if dashboard is None:
        return None
    return WatchedDeployment(dashboard, application, deployment, authorization(settings().ray_token_file))
