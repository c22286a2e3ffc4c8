"""Discovery requests and results as messages: from settings, to settings, and the ids that make them repeatable."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec

from alpharay.backtest.costs import Costs
from alpharay.backtest.metrics import metrics_json
from alpharay.bus.messages import DiscoveredStrategy, DiscoveryRequest
from alpharay.discovery.search import DiscoveryReport, Generation, SearchSettings
from alpharay.market.timeframe import timeframe_ms
from alpharay.reports.search_log import search_log, search_log_json
from alpharay.store.candle_rows import Market
from alpharay.strategies.catalogue import CATALOGUE, strategy_named
from alpharay.strategies.codec import strategy_from_json, strategy_to_json
from alpharay.strategies.strategy import Strategy, strategy_id


def discovery_request(
    market: Market,
    *,
    start_time: int,
    end_time: int,
    strategy_name: str,
    settings: SearchSettings,
    costs: Costs,
    rules: dict[str, Any] | None = None,
) -> DiscoveryRequest:
    """Return the request for one search; its `run_id` follows from its content, so asking twice is one run.

    `rules` is what `carried_rules` returns: the strategy, where the catalogue's name does not tell it.
    """
    request = DiscoveryRequest(
        run_id="",
        exchange=market.exchange,
        symbol=market.symbol,
        timeframe=market.timeframe,
        start_time=start_time,
        end_time=end_time,
        strategy_name=strategy_name,
        strategy=rules,
        population=settings.population,
        generations=settings.generations,
        top_n=settings.top_n,
        seed=settings.seed,
        objective=settings.objective,
        train_fraction=settings.train_fraction,
        min_trades=settings.min_trades,
        fee=costs.fee,
        slippage=costs.slippage,
    )
    asked = {key: value for key, value in msgspec.structs.asdict(request).items() if value is not None}
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
    return msgspec.structs.replace(request, run_id=f"{strategy_name.lower()}-{digest[:24]}")


def carried_rules(strategy: Strategy) -> dict[str, Any] | None:
    """Return the rules that a request must carry; None where the catalogue has them under the strategy's name."""
    return None if CATALOGUE.get(strategy.name) == strategy else strategy_to_json(strategy)


def requested_strategy(request: DiscoveryRequest) -> Strategy:
    """Return what a request wants searched; raises KeyError or ValueError naming what is not known here."""
    if request.strategy is not None:
        strategy = strategy_from_json(request.strategy)
        if strategy.name != request.strategy_name:
            raise ValueError(f"strategy_name must be that of the rules, {strategy.name}, was {request.strategy_name}")
        return strategy
    return strategy_named(request.strategy_name)


def search_settings(request: DiscoveryRequest) -> SearchSettings:
    """Return how a request wants to be searched; raises ValueError naming the field that cannot be."""
    return SearchSettings(
        population=request.population,
        generations=request.generations,
        top_n=request.top_n,
        seed=request.seed,
        objective=request.objective,
        train_fraction=request.train_fraction,
        min_trades=request.min_trades,
    )


def request_of(report: DiscoveryReport) -> DiscoveryRequest:
    """Return the request that a finished search answers.

    A search that was cut short is the whole search with as many generations as it had: the random numbers of
    a generation do not depend on how many follow.
    """
    candles = report.parts.candles
    settings = report.settings
    if report.stop_reason in ("interrupted", "time_budget"):
        settings = replace(settings, generations=max(len(report.log), 1))
    return discovery_request(
        Market(candles.exchange, candles.symbol, candles.timeframe),
        start_time=int(candles.open_time[0]),
        end_time=int(candles.open_time[-1]) + timeframe_ms(candles.timeframe),
        strategy_name=report.strategy.name,
        settings=settings,
        costs=report.costs,
        rules=carried_rules(report.strategy),
    )


def champion_messages(request: DiscoveryRequest, report: DiscoveryReport) -> list[DiscoveredStrategy]:
    """Return the champions of a run; their message ids follow from run and strategy, so sending twice is once."""
    expression = strategy_to_json(report.strategy)
    messages = []
    for champion in report.champions:
        identity = strategy_id(expression, champion.parameters, request.symbol, request.timeframe)
        messages.append(
            DiscoveredStrategy(
                message_id=f"{request.run_id}/{identity}",
                strategy_id=identity,
                run_id=request.run_id,
                exchange=request.exchange,
                symbol=request.symbol,
                timeframe=request.timeframe,
                strategy_name=report.strategy.name,
                strategy=expression,
                parameters=champion.parameters,
                score=champion.score,
                start_time=request.start_time,
                end_time=request.end_time,
                train_end_time=report.parts.train_end_time,
                in_sample=metrics_json(champion.in_sample),
                out_of_sample={} if champion.out_of_sample is None else metrics_json(champion.out_of_sample),
                objective=request.objective,
            )
        )
    return messages


def generation_progress(generation: Generation) -> dict[str, object]:
    """Return what the row of a running search says of it."""
    return {
        "generation": generation.generation,
        "generations": generation.generations,
        "evaluations": generation.evaluations,
        "best": generation.best if generation.best > float("-inf") else None,
    }


def run_progress(report: DiscoveryReport) -> dict[str, object]:
    """Return what a finished run's row keeps of its search."""
    return {
        "generation": len(report.log),
        "generations": report.settings.generations,
        "evaluations": report.evaluations,
        "best": report.champions[0].score if report.champions else None,
        "stop_reason": report.stop_reason,
        "backtest_s": round(report.backtest_s, 3),
        "elapsed_s": round(report.elapsed_s, 3),
        # What the report of a stored run draws.
        "log": search_log_json(search_log(report.log)),
    }
