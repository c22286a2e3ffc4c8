"""The Java archives of Apache Kafka: named and hashed in `kafka-jars.lock`, downloaded once per user.

`python -m cluster.local.kafka_jars` resolves them again with jgo and rewrites the lock.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import certifi
import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from cluster.local.process import PartFailedError
from cluster.local.service import Report, quiet

VERSION = "4.3.0"
# slf4j-simple writes the broker's log to its error stream; without a binding the broker is silent.
KAFKA = f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.kafka:kafka-tools:{VERSION}"
ENDPOINT = f"{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
LOCK = Path(__file__).with_name("kafka-jars.lock")
MIRROR_VARIABLE = "ALPHARAY_MAVEN_URL"
DOWNLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class Jar:
    """One archive: its Maven coordinate and the SHA-256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the archive's file name."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Return where a Maven repository keeps the archive."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def jars(fallback: Path, report: Report = quiet) -> list[Path]:
    """Return the archives, downloading those that the cache lacks; each is checked against the lock.

    The cache is the user's; `fallback` is used when that cannot be written.
    """
    cache = _cache_folder(fallback)
    wanted = list(locked())
    missing = [jar for jar in wanted if not _is_whole(cache / jar.file_name, jar)]
    if missing:
        _download(missing, cache, report)
    return [cache / jar.file_name for jar in wanted]


def locked() -> Iterator[Jar]:
    """Yield what `kafka-jars.lock` names."""
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            yield Jar(group, artifact, version, sha256)


def _cache_folder(fallback: Path) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    if base is None:
        base = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    folder = Path(base).expanduser() / "alpharay" / "kafka-jars"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = fallback
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else fallback


def _is_whole(file: Path, jar: Jar) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == jar.sha256
    except OSError:
        return False


def _download(missing: Iterable[Jar], cache: Path, report: Report) -> None:
    wanted = list(missing)
    report(f"downloading Kafka: 0 of {len(wanted)} files")
    with (
        httpx.Client(base_url=_repository(), verify=_trust(), timeout=30.0, follow_redirects=True) as client,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):
        tasks = [pool.submit(_fetch, client, jar, cache) for jar in wanted]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                task.result()
                report(f"downloading Kafka: {done} of {len(wanted)} files")
        except httpx.HTTPError as error:
            pool.shutdown(cancel_futures=True)
            raise PartFailedError(
                f"Kafka's files could not be downloaded from {client.base_url} ({error}): "
                f"check the network, or name a mirror of Maven Central in {MIRROR_VARIABLE}"
            ) from error


def _repository() -> str:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        return mirror
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL)


def _trust() -> ssl.SSLContext:
    """Trust the system's authorities (a company's own among them) and the public ones."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@retry(
    retry=retry_if_exception_type(httpx.HTTPError),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)
def _fetch(client: httpx.Client, jar: Jar, cache: Path) -> None:
    body = client.get(jar.path).raise_for_status().content
    found = hashlib.sha256(body).hexdigest()
    if found != jar.sha256:
        raise PartFailedError(f"{jar.file_name} has SHA-256 {found}, but kafka-jars.lock says {jar.sha256}")
    with NamedTemporaryFile(dir=cache, prefix=jar.file_name, delete=False) as draft:
        draft.write(body)
    Path(draft.name).replace(cache / jar.file_name)


def write_lock() -> None:
    """Resolve ENDPOINT with jgo, download every archive and write the lock."""
    import jgo

    lines = []
    for artifact in jgo.resolve(ENDPOINT):
        assert artifact.packaging == "jar", f"{artifact} is no jar"
        assert not artifact.classifier, f"{artifact} has a classifier, which the lock cannot express"
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        lines.append(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {digest}")
    header = f"# {ENDPOINT}: `python -m cluster.local.kafka_jars` writes this file.\n"
    LOCK.write_text(header + "\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    write_lock()
