"""What survives on real candles: every strategy of the catalogue, searched and then taken through all gates.

    python -m benchmarks.survivors --candles BTC-USD_1m.parquet ETH-USD_1m.parquet --timeframes 15m 1h 4h --json

The first 70 % of each file are the discovery's window (its search sees 70 % of that); the rest is newer than the
discovery. One strategy, market and time frame is one request. Its best parameter set must trade often enough and earn
more than the exposure-matched market after costs; then come the permutation of its whole search, and for what passes
that, walk-forward, neighbours, costs, unseen candles (`alpharay.validation.validation`). The false-discovery rate is
controlled over all requests of the call together (Benjamini & Hochberg). Without files it searches a GARCH market,
where nothing should survive.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
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
from alpharay.validation.configuration import Configuration
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


def judge(strategy: Strategy, candles: Candles, settings: ValidationSettings, costs: Costs) -> Record:
    """Return how far one request came: what stopped it, its p-value, and the outcome of each gate."""
    window = candles.slice(0, int(len(candles) * WINDOW))
    parts = split(window, SEARCH.train_fraction)
    configuration = Configuration(
        strategies=(strategy,), timeframe=candles.timeframe, search=SEARCH, costs=costs,
        permutations=settings.permutations, level=settings.level, last_gate=settings.last_gate,
    )  # fmt: skip
    search = WholeSearch(configuration)
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


def measure(
    markets: Sequence[Candles], strategies: Sequence[Strategy], settings: ValidationSettings, costs: Costs = Costs()
) -> tuple[Figures, list[Figures], list[Record]]:
    """Return the figures, a row for each market and time frame, and the requests that passed the permutation."""
    requests = [(strategy, candles) for candles in markets for strategy in strategies]
    shown = track(requests, description="requests", console=Console(stderr=True))
    records = [judge(strategy, candles, settings, costs) for strategy, candles in shown]
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
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    markets: list[Candles] = []
    for timeframe in chosen.timeframes:
        opened = open_markets(chosen.candles, timeframe)
        markets += [without_bad_ticks(item) for item in opened.real or (opened.series(0)[1],)]
    settings = ValidationSettings(permutations=chosen.permutations)
    figures, rows, passed = measure(markets, [CATALOGUE[name] for name in chosen.strategies], settings)
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
