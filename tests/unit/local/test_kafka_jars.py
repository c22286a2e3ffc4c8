from __future__ import annotations

import hashlib
import re

import httpx
import pytest

from cluster.local import kafka_jars
from cluster.local.kafka_jars import ENDPOINT, LOCK, MIRROR_VARIABLE, Jar, jars, locked
from cluster.local.process import PartFailedError

BODY = b"an archive"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository that answers every path with BODY, and the requests it saw."""
    seen = []

    def answer(request):
        seen.append(request.url.path)
        return httpx.Response(200, content=BODY)

    lock = tmp_path / "kafka-jars.lock"
    lock.write_text(f"# comment\norg.example:thing:1.0 {hashlib.sha256(BODY).hexdigest()}\n")
    monkeypatch.setattr(kafka_jars, "LOCK", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(MIRROR_VARIABLE, "http://mirror.example/maven")
    client = httpx.Client
    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(httpx, "Client", lambda **options: client(**{**options, "transport": transport}))
    return seen


def test_lock_names_every_wanted_archive_once_with_its_hash():
    coordinates = [f"{jar.group}:{jar.artifact}:{jar.version}" for jar in locked()]
    assert len(set(coordinates)) == len(coordinates)
    assert set(ENDPOINT.split("+")) <= set(coordinates)
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in locked())
    assert "://" not in LOCK.read_text()


def test_jar_lies_where_a_maven_repository_keeps_it():
    jar = Jar("org.apache.kafka", "kafka_2.13", "4.3.0", "")
    assert jar.path == "org/apache/kafka/kafka_2.13/4.3.0/kafka_2.13-4.3.0.jar"


def test_jars_are_downloaded_once(repository, tmp_path):
    said = []
    (file,) = jars(tmp_path / "fallback", said.append)
    assert file.read_bytes() == BODY
    assert jars(tmp_path / "fallback") == [file]
    assert repository == ["/maven/org/example/thing/1.0/thing-1.0.jar"]
    assert said[-1].endswith("1 of 1 files")


def test_damaged_jar_is_downloaded_again(repository, tmp_path):
    (file,) = jars(tmp_path / "fallback")
    file.write_bytes(b"damaged")
    assert jars(tmp_path / "fallback")[0].read_bytes() == BODY
    assert len(repository) == 2


def test_jar_with_another_hash_is_refused(repository, tmp_path):
    kafka_jars.LOCK.write_text(f"org.example:thing:1.0 {'0' * 64}\n")
    with pytest.raises(PartFailedError, match=r"thing-1\.0\.jar has SHA-256"):
        jars(tmp_path / "fallback")


def test_cache_that_cannot_be_made_is_replaced_by_the_fallback(repository, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert jars(tmp_path / "fallback")[0].parent == tmp_path / "fallback"
