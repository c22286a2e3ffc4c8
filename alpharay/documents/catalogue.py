"""The catalogue as Markdown: each strategy's rule in words and as a formula, its parameters, its chart."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from alpharay.indicators.registry import INDICATORS
from alpharay.strategies.catalogue import CATALOGUE, NOTES
from alpharay.strategies.strategy import Integer, ParameterRange, Strategy
from alpharay.strategies.text import rule_text

CHARTS = "charts"
"""The folder of the charts, beside the document."""

_HEAD = """# Strategies

{count} strategies, made from the catalogue by `make docs`. Each is searched within its ranges; the defaults are the
textbook's. `alpharay strategies catalogue --json` gives the same as data, `alpharay discover --strategies NAME`
searches one.

How to read a rule: it is decided on a candle's close and filled at the next candle's open. `previous(x)` is the value
one candle before; `sma(n, of x)` is the average of x instead of the close; `a crosses above b` means above now, and at
or below on the candle before. A comparison with a value that is not there yet, at the start of the candles, is neither
true nor false. A candle that says enter and exit at once enters nothing. Words in rules that are no indicator and no
column of the candles are parameters.

The charts are drawn with the defaults on daily candles of a sample index (▲ entry, ▼ exit, shaded while held): they
show what a rule does, not that it pays.

{contents}
"""

_INDICATORS = """## Indicators

What the rules above are made of; the whole register is `alpharay/indicators`. A *window* indicator gives the same from
any earlier start; a *recursive* one remembers its first candle for a while (`alpharay strategies recursive NAME` shows
how long).

| Indicator | Usual inputs | What it is | Memory |
| --- | --- | --- | --- |
"""


def catalogue_document() -> str:
    """Return docs/strategies.md: a pure function of the catalogue."""
    contents = " · ".join(f"[{name}](#{name.lower()})" for name in CATALOGUE)
    used = frozenset[str]().union(*(strategy.indicators for strategy in CATALOGUE.values()))
    return "\n".join(
        [
            _HEAD.format(count=len(CATALOGUE), contents=contents),
            *(_section(strategy) for strategy in CATALOGUE.values()),
            _INDICATORS + "\n".join(_indicator_row(name) for name in sorted(used)) + "\n",
        ]
    )


def _section(strategy: Strategy) -> str:
    parts = [f"## {strategy.name}", strategy.description, _rules(strategy), _parameters(strategy)]
    if strategy.constraints:
        parts.append(f"Required: {_code(str(constraint) for constraint in strategy.constraints)}.")
    indicators = ", ".join(f"[{name}](#indicator-{name})" for name in sorted(strategy.indicators))
    if indicators:
        parts.append(f"Made of {indicators}.")
    if strategy.name in NOTES:
        parts.append(f"*Not as in TradeStream:* {NOTES[strategy.name]}")
    parts.append(f"![{strategy.name} on a sample index]({CHARTS}/{strategy.name}.svg)")
    return "\n\n".join(parts) + "\n"


def _rules(strategy: Strategy) -> str:
    names = ("Enter", "Exit", "Enter short", "Exit short")
    return "\n".join(f"- {name}: `{rule_text(rule)}`" for name, rule in zip(names, strategy.rules, strict=False))


def _parameters(strategy: Strategy) -> str:
    rows = ["| Parameter | From | To | Default |", "| --- | --- | --- | --- |"]
    return "\n".join([*rows, *(_parameter_row(parameter) for parameter in strategy.parameters)])


def _parameter_row(parameter: ParameterRange) -> str:
    kind = "whole" if isinstance(parameter, Integer) else "real"
    numbers = " | ".join(f"{value:g}" for value in (parameter.low, parameter.high, parameter.default))
    return f"| `{parameter.name}` ({kind}) | {numbers} |"


def _indicator_row(name: str) -> str:
    known = INDICATORS[name]
    signature = f"`{name}({', '.join(known.parameters)})`" if known.parameters else f"`{name}`"
    text = " ".join((inspect.getdoc(known.function) or "").split()).replace("|", "\\|")
    return f'| <a id="indicator-{name}"></a>{signature} | {", ".join(known.inputs)} | {text} | {known.memory} |'


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
