"""Strategies by what people type: names of the catalogue, `all`, and Python files with strategies of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from alpharay.indicators.source_file import SourceFileError, read_source_file, run_source_file
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.strategy import Strategy

ALL = "all"

# It becomes part of run ids and of files' names.
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def is_strategy_name(name: str) -> bool:
    """Tell whether a strategy from outside may have this name: capitals, digits and _, at most 64."""
    return _NAME.fullmatch(name) is not None


def strategies_from(text: str) -> tuple[Strategy, ...]:
    """Return the strategies that a comma-separated list names: of the catalogue, `all` of it, or of Python files.

    For example `all`, `MACD_CROSSOVER,SMA_RSI`, `my_rules.py` or `all,my_rules.py`. Raises ValueError that names what
    is unknown; for a file see `strategies_in_file`.
    """
    found: dict[str, Strategy] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        for strategy in _named(item):
            if found.setdefault(strategy.name, strategy) != strategy:
                raise ValueError(f"two of the files in {text!r} define a strategy {strategy.name}: rename one")
    if not found:
        raise ValueError(f"strategies must be names, all, or files that end in .py, was {text!r}")
    return tuple(found.values())


def strategies_in_file(path: Path | str) -> tuple[Strategy, ...]:
    """Run a Python file and return the strategies in its variables, in their order.

    A variable holds a Strategy, or a tuple or list of them; a name that starts with `_` is left out, and so is a
    strategy taken from the catalogue as it is. Raises SourceFileError that names the file and what is wrong: the line
    that failed, the variable whose strategy's name is not in capitals, is there twice, or means another rule in the
    catalogue.
    """
    module = run_source_file(read_source_file(path))
    found: dict[str, tuple[str, Strategy]] = {}
    for variable, strategy in _variables(vars(module)):
        known = CATALOGUE.get(strategy.name)
        if known == strategy:
            continue
        where = f"{path}: {variable}"
        if known is not None:
            raise SourceFileError(f"{where}: the catalogue has another strategy {strategy.name}: give it another name")
        if not is_strategy_name(strategy.name):
            raise SourceFileError(
                f"{where}: a strategy's name must be capitals, digits and _, at most 64, was {strategy.name!r}"
            )
        first, same = found.setdefault(strategy.name, (variable, strategy))
        if same != strategy:
            raise SourceFileError(f"{where}: {first} is named {strategy.name} too: give it another name")
    if not found:
        raise SourceFileError(f"{path}: no Strategy found: assign one to a variable, as examples/my_rules.py does")
    return tuple(strategy for _, strategy in found.values())


def run_files(paths: str) -> list[str]:
    """Run a comma-separated list of users' files, so that their indicators are known here; return what went wrong."""
    problems = []
    for path in filter(None, (part.strip() for part in paths.split(","))):
        try:
            run_source_file(read_source_file(path))
        except SourceFileError as error:
            problems.append(str(error))
    return problems


def _named(item: str) -> tuple[Strategy, ...]:
    if item.endswith(".py"):
        return strategies_in_file(item)
    if item.lower() == ALL:
        return tuple(CATALOGUE.values())
    try:
        return (CATALOGUE[item.upper()],)
    except KeyError:
        raise ValueError(
            f"strategy {item!r} is not in the catalogue, nor a file that ends in .py; known are {', '.join(CATALOGUE)}"
        ) from None


def _variables(variables: dict[str, object]) -> Iterator[tuple[str, Strategy]]:
    for name, value in variables.items():
        if name.startswith("_"):
            continue
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, Strategy):
                yield name, item
