"""Symbols in ccxt's unified form, `BASE/QUOTE`."""

from __future__ import annotations

import re

_PART = r"[A-Z0-9^._-]{1,20}"
_PATTERN = re.compile(rf"{_PART}(/{_PART}(:{_PART})?)?")

DEFAULT_QUOTE = "USD"


def resolve_symbol(text: str, default_quote: str = DEFAULT_QUOTE) -> str:
    """Return `text` as a unified symbol: `sol` and `SOL` become `SOL/USD`, `ETH/BTC` stays.

    Raises ValueError when the text is no symbol.
    """
    symbol = text.strip().upper()
    if _PATTERN.fullmatch(symbol) is None:
        raise ValueError(f"symbol must look like BTC or BTC/USD, was {text!r}")
    return symbol if "/" in symbol else f"{symbol}/{default_quote}"
