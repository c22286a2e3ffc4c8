"""The kernel without its compiler: a mutant is tried in a second, not compiled for half a minute."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.extending import _Intrinsic

KERNEL = "alpharay.backtest"


@cache
def built_on(module: str) -> frozenset[str]:
    """Return `module` and what is built on it: compiled code cannot call Python, so all of it must be Python."""
    imports = {f"{KERNEL}.{path.stem}": _imports(path) for path in _sources()}
    above = {module}
    while added := {name for name, below in imports.items() if below & above} - above:
        above |= added
    return frozenset(above)


def import_the_rest(module: str) -> None:
    """Import the kernel, compiled, but for `module` and what is built on it."""
    for name in sorted({f"{KERNEL}.{path.stem}" for path in _sources()} - built_on(module)):
        importlib.import_module(name)


def interpret(module: str) -> None:
    """Import `module` and what is built on it as plain Python; call `import_the_rest` before."""
    _Intrinsic.__call__ = _call_intrinsic
    numba.config.DISABLE_JIT = True
    for name in sorted(built_on(module)):
        importlib.import_module(name)
    # Numba cannot compile with it either, and an indicator may still have to be.
    numba.config.DISABLE_JIT = False


def _sources() -> list[Path]:
    return sorted(Path(*KERNEL.split(".")).glob("[a-z]*.py"))


def _imports(path: Path) -> set[str]:
    return {
        node.module
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module
    }


def _call_intrinsic(intrinsic: Any, *arguments: Any) -> Any:
    return INTRINSICS[intrinsic._name](*arguments)


def _trailing_zeros(word: np.uint64) -> int:
    value = int(word)
    return (value & -value).bit_length() - 1 if value else 64


def _leading_zeros(word: np.uint64) -> int:
    return 64 - int(word).bit_length()


def _word(flags: np.ndarray) -> np.uint64:
    # A vector load past the end reads what lies there; here it must stay inside.
    assert len(flags) == 64
    return np.packbits(flags, bitorder="little").view(np.uint64)[0]


def _tile(column: np.ndarray, index: int) -> np.ndarray:
    assert index >= 0
    return column[index : index + 64]


INTRINSICS = {
    "trailing_zeros": _trailing_zeros,
    "leading_zeros": _leading_zeros,
    "above_word": lambda left, place, right, other: _word(_tile(left, place) > _tile(right, other)),
    "below_word": lambda left, place, right, other: _word(_tile(left, place) < _tile(right, other)),
    "known_word": lambda left, place, right, other: _word(~np.isnan(_tile(left, place) + _tile(right, other))),
    "above_level_word": lambda column, place, level: _word(_tile(column, place) > level),
    "below_level_word": lambda column, place, level: _word(_tile(column, place) < level),
}
"""What the intrinsics of `alpharay.backtest` do, in Python."""
