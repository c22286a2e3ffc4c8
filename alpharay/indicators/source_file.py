"""Python files of users: run once a process, and carried with what needs the indicators that they register.

A worker on another machine has no such file. So a strategy that uses an indicator of a file travels with the file's
text, and the text is run where the strategy arrives (`alpharay.strategies.strategy.Strategy`).
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from alpharay.indicators.registry import INDICATORS

CACHE_FOLDER = Path("alpharay") / "source-files"

_lock = threading.RLock()
_registered_by: dict[str, SourceFile] = {}


class SourceFileError(ValueError):
    """A user's file cannot be read or run; the message names the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A Python file as it was when it was read: it stands alone, so it may import installed packages only."""

    path: str
    text: str

    @property
    def module_name(self) -> str:
        """The name under which it is run: another for every text."""
        return f"alpharay_source_{hashlib.sha256(self.text.encode()).hexdigest()[:16]}"


def read_source_file(path: Path | str) -> SourceFile:
    """Read a user's Python file; raises SourceFileError when it cannot be read."""
    file = Path(path).expanduser()
    try:
        return SourceFile(str(file.resolve()), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceFileError(f"{path}: the file cannot be read: {reason}") from error


def run_source_file(file: SourceFile) -> ModuleType:
    """Run the file once in this process and return its module; the indicators it registers are known from then on.

    Raises SourceFileError naming file and line when running it fails; then it has registered nothing.
    """
    with _lock:
        if file.module_name in sys.modules:
            return sys.modules[file.module_name]
        known = set(INDICATORS)
        path = str(_on_disk(file))
        module = ModuleType(file.module_name)
        module.__file__ = path
        # Dataclasses and pickle look their module up by name while it runs.
        sys.modules[file.module_name] = module
        try:
            exec(compile(file.text, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user's own
        except (Exception, SystemExit) as error:
            del sys.modules[file.module_name]
            for name in INDICATORS.keys() - known:
                del INDICATORS[name]
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise SourceFileError(f"{file.path}:{_line_of(error, path)}: {type(error).__name__}: {reason}") from error
        _registered_by.update(dict.fromkeys(INDICATORS.keys() - known, file))
        return module


def source_files_of(indicators: Iterable[str]) -> tuple[SourceFile, ...]:
    """Return the users' files that registered these indicators, each once; AlphaRay's own have none."""
    return tuple(dict.fromkeys(_registered_by[name] for name in sorted(indicators) if name in _registered_by))


def _on_disk(file: SourceFile) -> Path:
    """Return where the text lies as a file, which compiled functions and tracebacks need; written if it does not."""
    path = Path(file.path)
    if _holds(path, file.text):
        return path
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    copy = home / CACHE_FOLDER / file.module_name / path.name
    if not _holds(copy, file.text):
        copy.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=copy.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(file.text)
        # In one step: another worker of this machine may be reading it.
        Path(new).replace(copy)
    return copy


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _line_of(error: BaseException, path: str) -> int:
    """Return the line of the file on which it failed, however deep below that the error came from."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return (lines[-1] if lines else None) or 1
