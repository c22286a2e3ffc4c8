"""Discovery requests and results as messages: from settings, to settings, and the ids that make them repeatable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, frictions_to_json
from alpharay.backtest.metrics import metrics_json
from alpharay.bus.messages import DiscoveredStrategy, DiscoveryPool, DiscoveryRequest, RuleEvolution
from alpharay.discovery.evolution_settings import EvolutionSettings
from alpharay.discovery.pooled import PooledReport, champions_of_markets
from alpharay.discovery.pooled_leaderboard import pooled_json
from alpharay.discovery.report import Champion, DiscoveryReport, Generation, StopReason
from alpharay.discovery.search import SearchSettings
from alpharay.discovery.split import Split
from alpharay.reports.search_log import search_log, search_log_json
from alpharay.store.candle_rows import Market
from alpharay.store.requests import CARRIED_SETTINGS
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
    frictions: Frictions | None = None,
    evolution: EvolutionSettings | None = None,
    pool: DiscoveryPool | None = None,
) -> DiscoveryRequest:
    """Return the request for one search; its `run_id` follows from its content, so asking twice is one run.

    `rules` is what `carried_rules` returns: the strategy, where the catalogue's name does not tell it. With
    `evolution`, whose search `settings` are, rules are evolved; with `pool` its first market is `market`. Raises
    ValueError when the settings ask for several time frames (each is a request of its own) or for a minimum holding
    (it belongs to the rules: `alpharay.strategies.strategy.with_minimum_holding`).
    """
    if len(settings.timeframes) > 1:
        raise ValueError(f"a request searches one time frame, was {', '.join(settings.timeframes)}: make one for each")
    if settings.minimum_holding is not None:
        raise ValueError(
            f"a request carries the minimum holding in its rules (with_minimum_holding), was {settings.minimum_holding}"
        )
    resample_to = next((name for name in settings.timeframes if name != market.timeframe), None)
    defaults = SearchSettings()
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
        frictions=None if frictions is None else frictions_to_json(frictions),
        resample_to=resample_to,
        evolution=None if evolution is None else carried_evolution(evolution),
        pool=pool,
        **{name: value for name in CARRIED_SETTINGS if (value := getattr(settings, name)) != getattr(defaults, name)},
    )
    return _identified(request)


def _identified(request: DiscoveryRequest) -> DiscoveryRequest:
    # What is absent counts for nothing, so that ids from before a field was added stay what they were.
    asked = {key: value for key, value in msgspec.structs.asdict(request).items() if value is not None} | {"run_id": ""}
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
    return msgspec.structs.replace(request, run_id=f"{request.strategy_name.lower()}-{digest[:24]}")


def carried_rules(strategy: Strategy) -> dict[str, Any] | None:
    """Return the rules that a request must carry; None where the catalogue has them under the strategy's name."""
    return None if CATALOGUE.get(strategy.name) == strategy else strategy_to_json(strategy)


def carried_evolution(evolution: EvolutionSettings) -> RuleEvolution:
    """Return how rules are evolved as a request carries it, beside the settings of its search."""
    return RuleEvolution(**{name: getattr(evolution, name) for name in RuleEvolution.__struct_fields__})


def requested_strategy(request: DiscoveryRequest) -> Strategy:
    """Return what a request wants searched; raises KeyError or ValueError naming what is not known here."""
    if request.strategy is not None:
        strategy = strategy_from_json(request.strategy)
        if strategy.name != request.strategy_name:
            raise ValueError(f"strategy_name must be that of the rules, {strategy.name}, was {request.strategy_name}")
        return strategy
    return strategy_named(request.strategy_name)


def searched_timeframe(request: DiscoveryRequest) -> str:
    """Return the time frame of the candles that a request's search trades on."""
    return request.resample_to or request.timeframe


def answered(request: DiscoveryRequest, stop_reason: StopReason, generations: int) -> DiscoveryRequest:
    """Return the request that an ended search answers, of the one that asked for it.

    A search that was cut short is the whole search with as many generations as it had: the random numbers of
    a generation do not depend on how many follow.
    """
    if stop_reason not in ("interrupted", "time_budget"):
        return request
    return _identified(msgspec.structs.replace(request, generations=max(generations, 1)))


def champion_messages(request: DiscoveryRequest, report: DiscoveryReport) -> list[DiscoveredStrategy]:
    """Return the champions of a run; their message ids follow from run and strategy, so sending twice is once."""
    return _messages(request, report.strategy, report.champions, report.parts)


def pool_messages(request: DiscoveryRequest, report: PooledReport) -> list[DiscoveredStrategy]:
    """Return the champions of a pooled run: one strategy for each market on which it is a candidate by itself."""
    return [
        message
        for part, champions in zip(report.parts, champions_of_markets(report), strict=True)
        for message in _messages(request, report.strategy, champions, part)
    ]


def _messages(
    request: DiscoveryRequest, strategy: Strategy, champions: Sequence[Champion], parts: Split
) -> list[DiscoveredStrategy]:
    expression, timeframe = strategy_to_json(strategy), searched_timeframe(request)
    messages = []
    for champion in champions:
        identity = strategy_id(expression, champion.parameters, parts.candles.symbol, timeframe)
        messages.append(
            DiscoveredStrategy(
                message_id=f"{request.run_id}/{identity}",
                strategy_id=identity,
                run_id=request.run_id,
                exchange=parts.candles.exchange,
                symbol=parts.candles.symbol,
                timeframe=timeframe,
                strategy_name=strategy.name,
                strategy=expression,
                parameters=champion.parameters,
                score=champion.score,
                start_time=request.start_time,
                end_time=request.end_time,
                train_end_time=parts.train_end_time,
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


def run_progress(report: DiscoveryReport | PooledReport) -> dict[str, object]:
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
        # The stored strategies of a pool have the figures of their own market; the account's are only here.
        **({"pool": pooled_json(report)} if isinstance(report, PooledReport) else {}),
    }
