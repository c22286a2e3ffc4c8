"""Back up, destroy, restore, compare: the scripts of `cluster/components/back-up` and a PostgreSQL of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.migrate import migrate
from cluster.local import postgres
from cluster.local.postgres_home import programs, remembered_home, server_account

SCRIPTS = Path(__file__).resolve().parents[2] / "cluster/components/back-up"
DAY_MS = 86_400_000
CONTENT = """
    SELECT (SELECT count(*) FROM candles), (SELECT sum(close) FROM candles),
        (SELECT md5(string_agg(candles::text, '|' ORDER BY symbol, open_time)) FROM candles),
        (SELECT version_num FROM alembic_version)
"""


@dataclass
class Server:
    folder: Path
    back_ups: Path
    url: str

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    def content(self) -> tuple[object, ...]:
        with self.connect() as connection:
            row = connection.execute(CONTENT).fetchone()
        assert row is not None
        return row

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        parts = urlsplit(self.url)
        own = programs(remembered_home(self.folder), server_account(self.folder))
        environment = {
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
            "BACK_UP_FOLDER": str(self.back_ups),
            "KEEP_DAYS": "30",
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGUSER": str(parts.username),
            "PGPASSWORD": str(parts.password),
            "PGDATABASE": parts.path.removeprefix("/"),
        }
        return subprocess.run(
            ["bash", str(SCRIPTS / script)],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def succeed(self, script: str, **variables: str) -> str:
        told = self.run(script, **variables)
        assert told.returncode == 0, told.stderr
        return told.stdout


def fill(connection: psycopg.Connection, day: int, close: float) -> None:
    connection.execute(
        "INSERT INTO candles (exchange, symbol, timeframe, open_time, open, high, low, close, volume, revision)"
        " VALUES ('e', 'BTC/USD', '1d', %s, %s, %s, %s, %s, 1, 1)",
        (day * DAY_MS, close, close, close, close),
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "postgres"
    try:
        found = Server(folder, tmp_path / "back-ups", postgres.start(folder).url)
        migrate(found.url)
        with found.connect() as connection:
            ensure_partitions(connection, (date(1970, 1, 1), date(1970, 2, 1)))
            for day in range(40):
                fill(connection, day, 100.0 + day)
        yield found
    finally:
        postgres.stop(folder)
        postgres.purge(folder)


def test_a_destroyed_database_is_restored_as_it_was(server: Server) -> None:
    before = server.content()
    assert "backed up: database/" in server.succeed("back-up-database.sh")
    with server.connect() as connection:
        connection.execute("DROP TABLE candles CASCADE")
        connection.execute("UPDATE alembic_version SET version_num = 'lost'")
        # It is connected while the names change, and loses its connection.
        told = server.succeed("restore-database.sh")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert "what was there is alpharay_before_" in told
    assert server.content() == before
    with server.connect() as connection:
        fill(connection, 41, 1.0)


def test_a_back_up_by_name_is_restored_and_the_one_before_is_kept(server: Server) -> None:
    server.succeed("back-up-database.sh")
    (first,) = (server.back_ups / "database").glob("*.dump")
    before = server.content()
    with server.connect() as connection:
        fill(connection, 45, 7.0)
    server.succeed("restore-database.sh", BACK_UP=first.name)
    assert server.content() == before
    with server.connect() as connection:
        kept = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'alpharay%'").fetchall()
    assert len(kept) == 2


def test_a_damaged_back_up_changes_nothing(server: Server) -> None:
    server.succeed("back-up-database.sh")
    (dump,) = (server.back_ups / "database").glob("*.dump")
    dump.write_bytes(dump.read_bytes()[:-100])
    before = server.content()
    told = server.run("restore-database.sh")
    assert told.returncode != 0
    assert "FAILED" in told.stdout + told.stderr
    # One whose digest was made of the damaged file fails later, and leaves no half either.
    digest = subprocess.run(["sha256sum", dump.name], cwd=dump.parent, capture_output=True, text=True, check=True)
    dump.with_suffix(".dump.sha256").write_text(digest.stdout)
    assert server.run("restore-database.sh").returncode != 0
    assert server.content() == before
    with server.connect() as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'alpharay%'").fetchall()
    assert names == [("alpharay",)]


def test_a_back_up_that_is_not_there_is_told_with_those_that_are(server: Server) -> None:
    told = server.run("restore-database.sh")
    assert told.returncode != 0
    assert "cronjob/back-up-database" in told.stderr
    server.succeed("back-up-database.sh")
    (dump,) = (server.back_ups / "database").glob("*.dump")
    told = server.run("restore-database.sh", BACK_UP="other.dump")
    assert told.returncode != 0
    assert "no back-up 'other.dump'" in told.stderr
    assert dump.name in told.stderr


def test_old_back_ups_go_once_a_new_one_has_come(server: Server) -> None:
    server.succeed("back-up-database.sh")
    folder = server.back_ups / "database"
    for name, days in (
        ("20200101T000000Z.dump", 31),
        ("20200101T000000Z.dump.sha256", 31),
        ("20200102T000000Z.dump", 29),
    ):
        (folder / name).write_text("")
        moment = (folder / name).stat().st_mtime - days * 86_400
        os.utime(folder / name, (moment, moment))
    # Nothing to dump: the old ones stay.
    assert server.run("back-up-database.sh", PGDATABASE="missing").returncode != 0
    assert (folder / "20200101T000000Z.dump").exists()
    assert not list(folder.glob(".*"))
    server.succeed("back-up-database.sh")
    assert not list(folder.glob("20200101*"))
    assert (folder / "20200102T000000Z.dump").exists()


def test_postgresqls_files_are_restored_while_it_does_not_run(server: Server) -> None:
    before = server.content()
    assert "backed up: base/" in server.succeed("back-up-base.sh")
    with server.connect() as connection:
        connection.execute("DROP TABLE candles CASCADE")
    data = remembered_home(server.folder) / "data"
    told = server.run("restore-base.sh", PGDATA=str(data))
    assert told.returncode != 0
    assert "PostgreSQL runs" in told.stderr
    postgres.stop(server.folder)
    # Who restores owns the files: in a pod that is the account of the server, here it need not be.
    account = server_account(server.folder)
    server.succeed("restore-base.sh", PGDATA=str(data))
    if account is not None:
        subprocess.run(["chown", "-R", f"{account.user}:{account.group}", str(data)], check=True, timeout=30)
    server.url = postgres.start(server.folder).url
    assert server.content() == before
