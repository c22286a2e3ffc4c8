"""`alpharay dead-letters`: look at what could not be processed, and publish it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NoReturn

import msgspec
import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from alpharay.bus.consumer import TopicMissingError
from alpharay.bus.dead_letters import StoredDeadLetter, read_dead_letters
from alpharay.bus.dead_letters import replay as replay_letter
from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.settings import SettingMissingError, settings

SHOWN_CHARACTERS = 60

app = typer.Typer(
    name="dead-letters",
    help="Look at messages that could not be processed, and publish them again once the cause is mended.",
    no_args_is_help=True,
    add_completion=False,
)

Source = Annotated[str | None, typer.Option(help="Only what this part refused: candle-sink, candle-ingestor …")]
Topic = Annotated[str | None, typer.Option(help="Only what came from this topic.")]
Since = Annotated[datetime | None, typer.Option(help="Only what was refused at this time (UTC) or later.")]


@app.command("list", epilog="Example: alpharay dead-letters list --source candle-sink --json")
def list_letters(
    source: Source = None,
    topic: Topic = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most the newest of this many.")] = 100,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, values whole.")] = False,
) -> None:
    """List dead letters, oldest first, with the reason."""
    letters = _read(source, topic, since)[-limit:]
    if json:
        for one in letters:
            typer.echo(msgspec.json.encode(one).decode())
        return
    table = Table("place", "refused at", "by", "topic", "key", "reason", "value")
    for one in letters:
        letter = one.letter
        refused_at = datetime.fromtimestamp(letter.refused_at / 1000, UTC).isoformat(timespec="seconds")
        value = letter.value[:SHOWN_CHARACTERS]
        place = f"{one.partition}:{one.offset}"
        table.add_row(place, refused_at, letter.source, letter.topic or "-", letter.key or "-", letter.reason, value)
    Console().print(table)
    typer.echo(f"{len(letters)} dead letters; `alpharay dead-letters replay` publishes them again")


@app.command(epilog="Example: alpharay dead-letters replay --topic candles --since 2026-01-31")
def replay(
    source: Source = None,
    topic: Topic = None,
    since: Since = None,
    place: Annotated[str | None, typer.Option(help="Only the letter at this place, such as 0:17.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish dead letters again to the topics that they came from.

    What was processed since is dropped there.
    """
    letters = _read(source, topic, since)
    if place is not None:
        letters = [one for one in letters if f"{one.partition}:{one.offset}" == place]
    replayed: dict[str, int] = {}
    skipped = 0
    try:
        with MessageProducer(settings().require("kafka_bootstrap_servers"), client_id="dead-letters") as producer:
            for one in letters:
                if one.letter.topic is None:
                    skipped += 1
                    continue
                name = replay_letter(producer, one)
                replayed[name] = replayed.get(name, 0) + 1
            producer.flush()
    except (PublishError, ValueError) as error:
        _fail(error)
    if json:
        typer.echo(msgspec.json.encode({"replayed": replayed, "skipped": skipped}).decode())
        return
    for name, count in replayed.items():
        typer.echo(f"{count} published again to {name}")
    if skipped:
        typer.echo(f"{skipped} came from no topic: an exchange's rows are asked for again by the ingestion")
    if not replayed and not skipped:
        typer.echo("no dead letter matches")


def _read(source: str | None, topic: str | None, since: datetime | None) -> list[StoredDeadLetter]:
    since_ms = None if since is None else int(since.replace(tzinfo=UTC).timestamp() * 1000)
    try:
        bootstrap_servers = settings().require("kafka_bootstrap_servers")
        letters = list(read_dead_letters(bootstrap_servers, source=source, topic=topic, since_ms=since_ms))
    except (SettingMissingError, TopicMissingError, KafkaException, TimeoutError) as error:
        _fail(error)
    return sorted(letters, key=lambda one: (one.letter.refused_at, one.partition, one.offset))


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2) from error
