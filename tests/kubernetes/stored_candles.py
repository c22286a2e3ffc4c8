"""Hold the stored candles against the exchange's own: python -m tests.kubernetes.stored_candles DATABASE_URL.

Prints JSON: for each market how many rows there are, when the last one opened, how many of the exchange's up to there
are missing, how many differ or are not the exchange's, and a checksum of all; and the ids of all stored signals.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import psycopg

from alpharay.market.candles import VALUE_COLUMNS, Candles
from alpharay.market.sample import SIMULATED_EXCHANGE, sample_candles
from alpharay.store.candle_rows import Market
from alpharay.store.candles import load_candles


def compared(stored: Candles, source: Candles) -> dict[str, object]:
    """Return the figures of one market."""
    if len(stored) == 0:
        return {"rows": 0, "last": None, "missing": 0, "different": 0, "checksum": ""}
    first, last = int(stored.open_time[0]), int(stored.open_time[-1])
    wanted = source.between(first, last + 1)
    missing = np.setdiff1d(wanted.open_time, stored.open_time)
    different = len(np.setdiff1d(stored.open_time, wanted.open_time))
    both = np.intersect1d(wanted.open_time, stored.open_time)
    of_stored, of_wanted = np.isin(stored.open_time, both), np.isin(wanted.open_time, both)
    same = np.ones(len(both), bool)
    digest = hashlib.sha256(np.ascontiguousarray(stored.open_time).tobytes())
    for name in VALUE_COLUMNS:
        same &= getattr(stored, name)[of_stored] == getattr(wanted, name)[of_wanted]
        digest.update(np.ascontiguousarray(getattr(stored, name)).tobytes())
    return {
        "rows": len(stored),
        "last": last,
        "missing": len(missing),
        "different": different + int(np.count_nonzero(~same)),
        "checksum": digest.hexdigest()[:16],
    }


def main() -> None:
    """Run from the command line."""
    with psycopg.connect(sys.argv[1], connect_timeout=5) as connection:
        figures = {
            source.symbol: compared(
                load_candles(connection, Market(SIMULATED_EXCHANGE, source.symbol, "1d")),
                source,
            )
            for source in sample_candles()
        }
        stored = connection.execute("SELECT signal_id FROM signals").fetchall()
    print(json.dumps({"markets": figures, "signals": [row[0] for row in stored]}))


if __name__ == "__main__":
    main()
