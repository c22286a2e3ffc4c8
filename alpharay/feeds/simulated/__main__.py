"""Run the simulated exchange: `python -m alpharay.feeds.simulated --port 9300`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from alpharay.feeds.simulated.application import simulated_exchange_app
from alpharay.feeds.simulated.clock import ReplayClock, continued_clock
from alpharay.feeds.simulated.exchange import SimulatedExchange
from alpharay.feeds.simulated.faults import Faults
from alpharay.feeds.simulated.replay import HISTORY_MARGIN, Replay
from alpharay.feeds.simulated.request_weight import DEFAULT_WEIGHT_LIMIT, RequestWeight
from alpharay.market.files import read_candles
from alpharay.market.sample import SIMULATED_EXCHANGE, sample_candles

_EXAMPLE = """examples:
  python -m alpharay.feeds.simulated --port 9300
      the sample candles (daily S&P 500 and NASDAQ), at the speed of life
  python -m alpharay.feeds.simulated --port 9300 --candles BTC-USD_1m.parquet --speed 60 --start 2019-06-01
      a minute of the file every second, from June on
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; 2 when the candles or options cannot be used."""
    options = _parser().parse_args(arguments)
    _log_json_lines()
    log = logging.getLogger("alpharay.simulated_exchange")
    try:
        sources = [read_candles(path, exchange=SIMULATED_EXCHANGE) for path in options.candles]
        replay = Replay(sources or sample_candles())
        start_ms = replay.start_ms() if options.start is None else options.start
        if options.clock_file is None:
            clock = ReplayClock(start_ms, replay.end_ms(), options.speed)
        else:
            clock = continued_clock(options.clock_file, start_ms, replay.end_ms(), options.speed)
        exchange = SimulatedExchange(
            replay,
            clock,
            RequestWeight(options.weight_limit),
            Faults(),
        )
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    log.info(
        "replay starts",
        extra={
            "address": f"http://{options.host}:{options.port}",
            "markets": [market.candles.symbol for market in replay.markets.values()],
            "now": _iso(clock.now_ms()),
            "end": _iso(replay.end_ms()),
            "speed": options.speed,
        },
    )
    uvicorn.run(
        simulated_exchange_app(exchange),
        host=options.host,
        port=options.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=256,
        timeout_graceful_shutdown=2,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m alpharay.feeds.simulated",
        description="A simulated exchange: Binance's public spot API over candle files, with its own clock.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--candles",
        action="append",
        default=[],
        metavar="PATH",
        help="file named like BTC-USD_1m.parquet or .csv; may be repeated (default: the sample candles)",
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="replay seconds per real second; 0 stands still (default: 1)"
    )
    parser.add_argument(
        "--start",
        type=_time,
        metavar="TIME",
        help=f"the first moment, ISO 8601 or epoch ms (default: {HISTORY_MARGIN} candles before the end)",
    )
    parser.add_argument(
        "--clock-file",
        type=Path,
        metavar="PATH",
        help="keep the replay's time here and go on from it at the next start (default: begin anew)",
    )
    parser.add_argument(
        "--weight-limit",
        type=int,
        default=DEFAULT_WEIGHT_LIMIT,
        help="request weight a minute (default: %(default)s)",
    )
    return parser


def _time(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"must be ISO 8601 such as 2019-06-01T12:00, or epoch milliseconds, was {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and what the record carries besides."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in self._STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_json_lines() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    raise SystemExit(main())
