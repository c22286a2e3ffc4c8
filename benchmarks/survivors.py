r"""What survives on real candles: every strategy of the catalogue, searched and then taken through all gates.

    python -m benchmarks.survivors --candles BTC-USD_1m.parquet ETH-USD_1m.parquet --timeframes 15m 1h 4h \
        --results survivors.jsonl --json

The first 70 % of each file are the discovery's window (its search sees 70 % of that); the rest is newer than the
discovery. One strategy, market and time frame is one request. Its best parameter set must trade often enough and earn
more than the exposure-matched market after costs; then come the permutation of its whole search, and for what passes
that, walk-forward, neighbours, costs, unseen candles (`alpharay.validation.validation`). The false-discovery rate is
controlled over all requests of the call together (Benjamini & Hochberg). Without files it searches a GARCH market,
where nothing should survive. With `--results` what has ended is kept, and a second call goes on where the first ended.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import track

from alpharay.backtest.costs import Costs
from alpharay.discovery.search import SearchSettings
from alpharay.discovery.split import split
from alpharay.market.candles import Candles
from alpharay.market.timeframe import timeframe_ms
from alpharay.strategies.catalogue import CATALOGUE
from alpharay.strategies.strategy import Strategy
from alpharay.validation.configuration import Configuration, configuration_hash
from alpharay.validation.false_discovery import RATE, adjusted_p_values
from alpharay.validation.permutation import exceedances_at, permutation_test
from alpharay.validation.promotion import WholeSearch
from alpharay.validation.sign_flip import without_bad_ticks
from alpharay.validation.validation import Subject, ValidationSettings, validate_strategy
from alpharay.validation.verdict import GATES
from benchmarks.promotion_runs import Record, open_markets
from benchmarks.report import Figures, machine, report, versions

WINDOW = 0.7
"""Share of the candles that the discovery has; the others are newer."""

SEARCH = SearchSettings(population=100, generations=6, top_n=1, objective="sharpe", train_fraction=0.7, min_trades=40)
NOT_TRADED, NO_EXCESS = "traded too seldom", "no excess"


def configuration_of(strategy: Strategy, candles: Candles, settings: ValidationSettings, costs: Costs) -> Configuration:
    """Return what decides, beside the candles, how one request ends."""
    return Configuration(
        strategies=(strategy,), timeframe=candles.timeframe, search=SEARCH, costs=costs,
        permutations=settings.permutations, level=settings.level, last_gate=settings.last_gate,
    )  # fmt: skip


def judge(strategy: Strategy, candles: Candles, settings: ValidationSettings, costs: Costs) -> Record:
    """Return how far one request came: what stopped it, its p-value, and the outcome of each gate."""
    window = candles.slice(0, int(len(candles) * WINDOW))
    parts = split(window, SEARCH.train_fraction)
    search = WholeSearch(configuration_of(strategy, candles, settings, costs))
    best = search.best(parts.train)
    record: Record = {
        "market": candles.symbol, "timeframe": candles.timeframe, "strategy": strategy.name,
        "stopped_by": NOT_TRADED, "p_value": 1.0, "gates": {},
    }  # fmt: skip
    if best is None:
        return record
    record |= {"parameters": best.parameters, "excess_sharpe": round(best.statistic, 2), "stopped_by": NO_EXCESS}
    if best.statistic <= 0.0:
        return record
    test = permutation_test(
        search,
        parts.train,
        permutations=settings.permutations,
        seed=settings.seed,
        stop_after=exceedances_at(settings.level, settings.permutations),
        observed=best.statistic,
    )
    record |= {"p_value": test.p_value, "stopped_by": "permutation"}
    if test.p_value > settings.level:
        return record
    subject = Subject(
        strategy=strategy,
        parameters=best.parameters,
        search=SEARCH,
        costs=costs,
        start_time=int(window.open_time[0]),
        train_end_time=parts.train_end_time,
        end_time=int(window.open_time[-1]) + timeframe_ms(window.timeframe),
    )
    validated = validate_strategy(subject, candles, settings, known_null=test.null.tolist())
    gates = {gate.name: gate.outcome for gate in validated.verdict.gates}
    stopped = next((name for name in GATES if gates.get(name, "passed") != "passed"), "nothing")
    return record | {"gates": gates, "stopped_by": stopped, "texts": [gate.text for gate in validated.verdict.gates]}


def records_of(
    requests: Sequence[tuple[Strategy, Candles]], settings: ValidationSettings, costs: Costs, file: Path | None
) -> Iterator[Record]:
    """Yield how each request ended; those that `file` has are not done again, the others are added to it."""
    kept: dict[str, Record] = {}
    if file is not None and file.is_file():
        for line in file.read_text().splitlines():
            # A process that was killed while it wrote leaves half a line: that request is done again.
            with suppress(json.JSONDecodeError):
                item = json.loads(line)
                kept[item["request"]] = item["record"]
    for strategy, candles in requests:
        configuration = configuration_hash(configuration_of(strategy, candles, settings, costs))
        newest = f"{len(candles)} candles to {int(candles.open_time[-1])}"
        request = f"{candles.exchange} {candles.symbol} {candles.timeframe} {newest} {strategy.name} {configuration}"
        if request not in kept:
            kept[request] = judge(strategy, candles, settings, costs)
            if file is not None:
                with file.open("a") as lines:
                    # On a line of its own, whatever was left before.
                    lines.write("\n" + json.dumps({"request": request, "record": kept[request]}))
        yield kept[request]


def measure(
    markets: Sequence[Candles],
    strategies: Sequence[Strategy],
    settings: ValidationSettings,
    costs: Costs = Costs(),
    file: Path | None = None,
) -> tuple[Figures, list[Figures], list[Record]]:
    """Return the figures, a row for each market and time frame, and the requests that passed the permutation."""
    requests = [(strategy, candles) for candles in markets for strategy in strategies]
    ended = records_of(requests, settings, costs, file)
    records = list(track(ended, description="requests", total=len(requests), console=Console(stderr=True)))
    for record, adjusted in zip(records, adjusted_p_values([record["p_value"] for record in records]), strict=True):
        record["adjusted_p_value"] = float(adjusted)
        record["survives"] = record["stopped_by"] == "nothing" and adjusted <= RATE
    rows = [
        _row([item for item in records if (item["market"], item["timeframe"]) == (candles.symbol, candles.timeframe)])
        for candles in markets
    ]
    figures: Figures = {"requests": len(records), "survive": sum(record["survives"] for record in records)}
    return figures, rows, [record for record in records if record["gates"]]


def _row(records: Sequence[Record]) -> Figures:
    passed = [record for record in records if record["gates"]]
    return {
        "market": records[0]["market"],
        "timeframe": records[0]["timeframe"],
        "requests": len(records),
        "traded": sum(record["stopped_by"] != NOT_TRADED for record in records),
        "excess_above_0": sum(record["stopped_by"] not in (NOT_TRADED, NO_EXCESS) for record in records),
        **{name: sum(record["gates"].get(name) == "passed" for record in passed) for name in GATES[:4]},
        "false_discovery": sum(record["adjusted_p_value"] <= RATE for record in passed),
        "unseen": sum(record["gates"].get("unseen") == "passed" for record in passed),
        "survive": sum(record["survives"] for record in records),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=Path, nargs="+", default=[], help="parquet or CSV files; GARCH otherwise")
    parser.add_argument("--timeframes", nargs="+", default=["1h"])
    parser.add_argument("--strategies", nargs="+", default=list(CATALOGUE), metavar="NAME", help="all when left out")
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--results", type=Path, help="a file that keeps what has ended, and is gone on from")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    markets: list[Candles] = []
    for timeframe in chosen.timeframes:
        opened = open_markets(chosen.candles, timeframe)
        markets += [without_bad_ticks(item) for item in opened.real or (opened.series(0)[1],)]
    settings = ValidationSettings(permutations=chosen.permutations)
    strategies = [CATALOGUE[name] for name in chosen.strategies]
    figures, rows, passed = measure(markets, strategies, settings, file=chosen.results)
    report(
        "survivors",
        {**figures, "passed_permutation": passed, "machine": machine(), "versions": versions("numba", "numpy")}
        if chosen.json
        else {**figures, "passed_permutation": json.dumps([f"{item['market']} {item['strategy']}" for item in passed])},
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
