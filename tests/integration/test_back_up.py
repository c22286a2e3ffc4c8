"""Back up, destroy, restore, compare: the scripts of `cluster/components/back-up` and a PostgreSQL of their own."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from alpharay.store.candle_partitions import ensure_partitions
from alpharay.store.migrate import migrate
from alpharay.store.monitored_facts import read_facts
from cluster.local import postgres
from cluster.local.postgres_home import programs, remembered_home, server_account
from cluster.local.process import Account, PartFailedError, log_file

COMPONENTS = Path(__file__).resolve().parents[2] / "cluster/components"
SCRIPTS = COMPONENTS / "back-up"
ARCHIVE_SCRIPT = COMPONENTS / "wal-archive/archive.sh"
FAILING = "alpharay_wal_archive_failing_seconds"
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
    account = server_account(server.folder)
    server.succeed("restore-base.sh", PGDATA=str(data))
    own(data, account)
    server.url = postgres.start(server.folder).url
    assert server.content() == before


@dataclass
class Archived:
    """A server whose log is archived, as the component `wal-archive` has it."""

    server: Server
    archive: Path
    # The waits for policies that are not here: programs named `sleep` that do not.
    awake: Path

    @property
    def data(self) -> Path:
        return remembered_home(self.server.folder) / "data"

    def restart(self) -> None:
        postgres.stop(self.server.folder)
        self.server.url = postgres.start(self.server.folder).url

    def restore(self, until: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        of_server = programs(remembered_home(self.server.folder), server_account(self.server.folder))
        variables = {"UNTIL": until, "PGDATA": str(self.data), "WAL_ARCHIVE": str(self.archive), **variables}
        path = os.pathsep.join([str(self.awake), str(of_server), os.environ["PATH"]])
        return self.server.run("restore-base.sh", PATH=path, **variables)

    def restored(self, until: str = "", **variables: str) -> tuple[object, ...]:
        """Restore with the server stopped, start it, and return what it holds."""
        account = server_account(self.server.folder)
        postgres.stop(self.server.folder)
        told = self.restore(until, **variables)
        assert told.returncode == 0, told.stderr
        own(self.data, account)
        self.server.url = postgres.start(self.server.folder).url
        with self.server.connect() as connection:
            assert value(connection, "SELECT pg_is_in_recovery()") is False
        return self.server.content()

    def passed(self) -> str:
        """Return the server's time, once it is over and a later transaction has ended."""
        with self.server.connect() as connection:
            now = value(connection, "SELECT clock_timestamp()")
            assert isinstance(now, datetime)
            connection.execute("CREATE TABLE passed (); DROP TABLE passed")
        return now.isoformat()

    def archive_all(self) -> str:
        """Have the segment that is written to archived; return its name."""
        with self.server.connect() as connection:
            name = str(value(connection, "SELECT pg_walfile_name(pg_switch_wal())"))
        wait_for(lambda: (self.archive / f"{name}.gz").exists())
        return name


def value(connection: psycopg.Connection, statement: str) -> object:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.1)


def own(folder: Path, account: Account | None) -> None:
    # Who restores owns the files: in a pod that is the account of the server, here it need not be.
    if account is not None:
        subprocess.run(["chown", "-R", f"{account.user}:{account.group}", str(folder)], check=True, timeout=30)


@pytest.fixture
def archived(server: Server, tmp_path: Path) -> Archived:
    home, account = remembered_home(server.folder), server_account(server.folder)
    found = Archived(server, home / "wal-archive", tmp_path / "awake")
    found.awake.mkdir()
    (found.awake / "sleep").write_text("#!/bin/sh\n")
    (found.awake / "sleep").chmod(0o755)
    found.archive.mkdir()
    script = home / "archive.sh"
    shutil.copyfile(ARCHIVE_SCRIPT, script)
    own(found.archive, account)
    own(script, account)
    command = f"WAL_ARCHIVE={found.archive} KEEP_DAYS=100 bash {script} %p %f"
    with (found.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"archive_mode = on\narchive_command = '{command}'\n")
    found.restart()
    return found


def test_the_database_is_again_as_it_was_at_a_time(archived: Archived) -> None:
    server = archived.server
    server.succeed("back-up-base.sh")
    with server.connect() as connection:
        fill(connection, 41, 5.0)
    before, until = server.content(), archived.passed()
    with server.connect() as connection:
        fill(connection, 42, 6.0)
        connection.execute("DROP TABLE candles CASCADE")
    assert archived.restored(until) == before

    # It goes on like any other: it is written to, its log is archived under another timeline, it may be restarted.
    with server.connect() as connection:
        fill(connection, 43, 7.0)
    assert archived.archive_all().startswith("00000002")
    before = server.content()
    archived.restart()
    assert server.content() == before
    assert not (archived.data / "recovery.signal").exists()
    with server.connect() as connection:
        assert value(connection, "SELECT failed_count FROM pg_stat_archiver") == 0
        assert read_facts(connection)[FAILING] == [((), 0.0)]


def test_a_restore_may_be_done_again_to_a_later_time_and_to_one_after_it(archived: Archived) -> None:
    server = archived.server
    server.succeed("back-up-base.sh")
    contents, times = [], []
    for day in (41, 42):
        with server.connect() as connection:
            fill(connection, day, 5.0)
        contents.append(server.content())
        times.append(archived.passed())
    assert archived.restored(times[0]) == contents[0]
    with server.connect() as connection:
        fill(connection, 43, 5.0)
    contents.append(server.content())
    times.append(archived.passed())
    # Of the first timeline, although there is a second one; its base back-up has settings of no restore yet.
    assert archived.restored(times[1]) == contents[1]
    # A base back-up of the third, which has settings of a restore, and does not lead to the second.
    server.succeed("back-up-base.sh")
    with server.connect() as connection:
        fill(connection, 44, 5.0)
    assert archived.restored(times[2]) == contents[2]
    # Another way now: the newest timeline came of the second, so the newest back-up is passed over.
    newest = max(path.name for path in (server.back_ups / "base").iterdir())
    told = archived.restore("end", BACK_UP=newest)
    assert told.returncode == 1
    assert f"{newest}: it is of timeline 3, whose end was given up by a restore" in told.stderr
    assert archived.restored("end") == contents[2]
    # Without a time it is the back-up itself; settings of the restore before do not disturb.
    assert archived.restored(BACK_UP=newest) == contents[1]
    archived.archive_all()
    with server.connect() as connection:
        assert value(connection, "SELECT failed_count FROM pg_stat_archiver") == 0


def test_a_time_that_cannot_be_reached_changes_nothing(archived: Archived) -> None:
    server = archived.server
    early = archived.passed()
    server.succeed("back-up-base.sh")
    (base,) = (server.back_ups / "base").iterdir()
    late = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    listed = sorted(path.name for path in archived.data.parent.iterdir())
    settings = (archived.data / "postgresql.auto.conf").read_bytes()
    for until, reason in (
        (early, f"UNTIL was '{early}', but no back-up leads there:\n  {base.name}: it was made at 2"),
        (late, f"UNTIL was '{late}', but the archive has nothing that is newer"),
        ("yesterday", "UNTIL must be a time with its zone, like 2026-11-21T10:00:00Z, or end, was 'yesterday'"),
        ("2026-11-21T10:00:00", "UNTIL must be a time with its zone"),
        ("2026-13-21T10:00:00Z", "UNTIL must be a time with its zone"),
        ("2026-11-21T10:00:00Z' x", "UNTIL must be a time with its zone"),
    ):
        told = archived.restore(until)
        assert told.returncode == 1, until
        assert reason in told.stderr
    told = archived.restore("end", WAL_ARCHIVE="")
    assert told.returncode == 1
    assert "no log is archived: use the component wal-archive" in told.stderr
    # What follows the back-up is not there.
    empty = archived.archive.parent / "empty"
    empty.mkdir()
    told = archived.restore("end", WAL_ARCHIVE=str(empty))
    assert told.returncode == 1
    assert f"{base.name}: the archive lacks the log after it, which begins with 0000000100000000000000" in told.stderr
    empty.rmdir()
    # And what could be reached is not while PostgreSQL runs.
    told = archived.restore("end")
    assert told.returncode == 1
    assert "PostgreSQL runs" in told.stderr
    assert sorted(path.name for path in archived.data.parent.iterdir()) == listed
    assert (archived.data / "postgresql.auto.conf").read_bytes() == settings
    assert not (archived.data / "recovery.signal").exists()


def test_a_damaged_segment_stops_the_recovery_rather_than_ending_it_early(archived: Archived) -> None:
    archived.server.succeed("back-up-base.sh")
    with archived.server.connect() as connection:
        fill(connection, 41, 5.0)
    before, name = archived.server.content(), archived.archive_all()
    archived.passed()
    account = server_account(archived.server.folder)
    postgres.stop(archived.server.folder)
    segment = archived.archive / f"{name}.gz"
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-100])
    assert archived.restore("end").returncode == 0
    own(archived.data, account)
    with pytest.raises(PartFailedError):
        postgres.start(archived.server.folder)
    assert f'FATAL:  could not restore file "{name}" from archive' in log_file(archived.server.folder).read_text()
    # Put right, it goes on where it was.
    segment.write_bytes(whole)
    archived.server.url = postgres.start(archived.server.folder).url
    assert archived.server.content() == before


def test_an_archive_that_is_away_is_counted_and_caught_up_with(archived: Archived) -> None:
    away = archived.archive.with_name("away")
    archived.archive.rename(away)
    with archived.server.connect() as connection:
        connection.execute("SELECT pg_switch_wal()")
        wait_for(lambda: read_facts(connection)[FAILING][0][1] > 0)
        away.rename(archived.archive)
        wait_for(lambda: read_facts(connection)[FAILING][0][1] == 0)


def test_a_server_that_archives_nothing_has_no_such_fact(server: Server) -> None:
    with server.connect() as connection:
        assert read_facts(connection)[FAILING] == []


def archive(folder: Path, file: Path, name: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'{before} exec bash "$@"', "archive", str(ARCHIVE_SCRIPT), str(file), name],
        env={"PATH": os.environ["PATH"], "WAL_ARCHIVE": str(folder), "KEEP_DAYS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


NAME = "000000010000000000000017"


def test_a_segment_is_archived_once_and_never_replaced(tmp_path: Path) -> None:
    folder, segment = tmp_path / "archive", tmp_path / NAME
    folder.mkdir()
    segment.write_bytes(os.urandom(1 << 20))
    for _ in range(2):
        assert archive(folder, segment, NAME).returncode == 0
        assert [path.name for path in folder.iterdir()] == [f"{NAME}.gz"]
        assert gzip.decompress((folder / f"{NAME}.gz").read_bytes()) == segment.read_bytes()
    kept = (folder / f"{NAME}.gz").read_bytes()
    segment.write_bytes(os.urandom(1 << 20))
    told = archive(folder, segment, NAME)
    assert told.returncode == 1
    assert f"{NAME}.gz is there with other bytes" in told.stderr
    assert (folder / f"{NAME}.gz").read_bytes() == kept


def test_a_full_archive_fails_and_keeps_no_half(tmp_path: Path) -> None:
    folder, segment = tmp_path / "archive", tmp_path / NAME
    folder.mkdir()
    segment.write_bytes(os.urandom(1 << 20))
    # No file may be longer than 64 KiB: what a full volume says at another place.
    told = archive(folder, segment, NAME, before="trap '' XFSZ; ulimit -f 64;")
    # Above 125 PostgreSQL would take it for its own end, and not count it.
    assert 0 < told.returncode <= 125
    assert "File too large" in told.stderr
    assert list(folder.iterdir()) == []
    assert 0 < archive(tmp_path / "missing", segment, NAME).returncode <= 125


def test_old_segments_go_but_never_those_of_the_newest_base(tmp_path: Path) -> None:
    folder, segment = tmp_path / "archive", tmp_path / "segment"
    folder.mkdir()
    segment.write_bytes(b"log")
    names = [f"{number:024X}" for number in range(1, 6)]
    for name, days in (
        *((name, 110 - number) for number, name in enumerate(names)),
        ("00000002.history", 110),
        (f"{names[1]}.00000028.backup", 108.5),
        (f"{names[3]}.00000028.backup", 106.5),
    ):
        (folder / f"{name}.gz").write_bytes(b"")
        moment = time.time() - days * 86_400
        os.utime(folder / f"{name}.gz", (moment, moment))

    def kept() -> set[str]:
        return {path.name.removesuffix(".gz") for path in folder.iterdir()}

    before = kept()
    assert archive(folder, segment, "000000010000000100000001").returncode == 0
    assert kept() == before | {"000000010000000100000001"}
    assert archive(folder, segment, "000000010000000100000100").returncode == 0
    gone = {names[0], names[1], names[2], f"{names[1]}.00000028.backup"}
    assert kept() == before - gone | {"000000010000000100000001", "000000010000000100000100"}
