r"""Job: ask for searches. Publishes one request for each symbol, window and strategy to Kafka, and exits.

The consumers (`ray_jobs.consume`) queue each as a run, workers (`ray_jobs.discover --from-queue`) search. The
id of a run follows from what is asked for, so asking twice for the same is one run. Windows end with the
newest stored candle.

For example:

All strategies on two symbols, over the last 1000 and the last 2000 candles:

    python -m ray_jobs.request_discovery --symbols SPX,IXIC --timeframe 1d --windows 1000,2000

The rules in a file of your own (with AlphaRay's indicators: a request carries no code):

    python -m ray_jobs.request_discovery --symbols SPX --strategies my_rules.py

Two strategies on minutes, larger searches, and no message sent yet:

    python -m ray_jobs.request_discovery --symbols BTC --timeframe 1m --windows 46368,121393 \
        --strategies MACD_CROSSOVER,SMA_RSI --population 200 --dry-run

The same on two time frames made of the minutes, with an exchange's fee tiers, ticks and lots:

    python -m ray_jobs.request_discovery --symbols BTC --timeframe 1m --windows 121393 --timeframes 15m,1h \
        --strategies MACD_CROSSOVER,SMA_RSI --frictions examples/exchange_costs.json

One parameter set that trades three symbols with one account, in at most two of them at once:

    python -m ray_jobs.request_discovery --symbols BTC,ETH,SOL --timeframe 1h --windows 8760 --max-positions 2
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions, read_frictions
from alpharay.backtest.pooled import PoolLimits
from alpharay.bus.messages import DiscoveryPool, DiscoveryRequest
from alpharay.bus.producer import MessageProducer, PublishError
from alpharay.bus.topics import DISCOVERY_REQUESTS
from alpharay.discovery.search import SearchSettings
from alpharay.indicators.source_file import source_files_of
from alpharay.market.symbol import resolve_symbol
from alpharay.market.timeframe import timeframe_ms
from alpharay.settings import SettingMissingError, Settings, settings
from alpharay.store.candle_rows import Market
from alpharay.store.candles import newest_open_time
from alpharay.store.database import DatabasePool, open_pool
from alpharay.store.kept_candles import kept_from
from alpharay.strategies.loading import strategies_from
from alpharay.strategies.strategy import Strategy
from ray_jobs.discovery_messages import carried_rules, discovery_request
from ray_jobs.search_options import parsed_timeframes, with_holding
from ray_jobs.stored_market import find_market

# \b keeps the examples' lines as they are.
HELP = re.sub(r"\n\n(?=    )", "\n\n\b\n", __doc__ or "")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=HELP)
def main(
    symbols: Annotated[str, typer.Option(help="Symbols, separated by commas: SPX,IXIC or BTC/USDT.")],
    timeframe: Annotated[str, typer.Option(help="Length of a candle: 1m, 1h, 1d …")] = "1d",
    exchange: Annotated[
        str | None, typer.Option(help="Where the candles are from; needed when several have the symbol.")
    ] = None,
    windows: Annotated[str, typer.Option(help="Lengths in candles, separated by commas.")] = "1000,2000,4000",
    strategies: Annotated[str, typer.Option(help="Names or .py files, separated by commas, or all.")] = "all",
    population: Annotated[int, typer.Option(min=2, help="Genomes a generation.")] = 50,
    generations: Annotated[int, typer.Option(min=1, help="Generations at most.")] = 30,
    top: Annotated[int, typer.Option(min=1, help="Champions to keep of each search.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same champions.")] = 0,
    objective: Annotated[
        str,
        typer.Option(
            help="sharpe, sortino, calmar, profit_factor, total_return, tradestream, sharpe_by_trades, "
            "sharpe_less_drawdown, or nsga2: the front of return, drawdown and turnover."
        ),
    ] = "sharpe",
    train_fraction: Annotated[float, typer.Option(help="Share of a window that the search sees.")] = 0.7,
    min_trades: Annotated[int, typer.Option(min=1, help="Sets with fewer trades in sample are no candidates.")] = 10,
    timeframes: Annotated[
        str | None, typer.Option(help="Time frames to search, resampled from --timeframe: 15m,1h,4h.")
    ] = None,
    minimum_holding: Annotated[
        str | None, typer.Option(help="Fewest and most bars that a position is held, for the search to choose: 0,48.")
    ] = None,
    patience: Annotated[int, typer.Option(min=1, help="Ends after so many generations without a better one.")] = 10,
    islands: Annotated[
        int | None, typer.Option(min=1, help="Populations that evolve apart; one for each 50 genomes when not given.")
    ] = None,
    fee: Annotated[float, typer.Option(help="Fraction of the traded value, each side.")] = 0.001,
    slippage: Annotated[float, typer.Option(help="Fraction of the price, each side.")] = 0.0002,
    frictions: Annotated[
        Path | None, typer.Option(help="JSON file of an account's fee tiers, impact, ticks, lots, funding.")
    ] = None,
    max_positions: Annotated[
        int | None, typer.Option(min=1, help="One account trades all symbols, with so many positions at once.")
    ] = None,
    position_share: Annotated[
        float | None, typer.Option(help="With --max-positions: share of the equity that an entry takes, else equal.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the requests, send none.")] = False,
) -> None:
    """Ask for searches; see the module's text."""
    try:
        current = settings()
        search = SearchSettings(
            population=population, generations=generations, top_n=top, seed=seed, objective=objective,
            train_fraction=train_fraction,
            min_trades=min_trades,
            patience=patience,
            islands=islands,
            timeframes=parsed_timeframes(timeframes),
        )  # fmt: skip
        timeframe_ms(timeframe)
        with open_pool(current.require("database_url"), application="discovery-requests") as pool:
            requests = make_requests(
                pool,
                [resolve_symbol(one, current.default_quote) for one in symbols.split(",") if one.strip()],
                timeframe,
                [int(one) for one in windows.split(",")],
                with_holding(strategies_from(strategies), minimum_holding),
                search,
                Costs(fee, slippage),
                exchange=exchange,
                frictions=None if frictions is None else read_frictions(frictions),
                together=_limits(max_positions, position_share),
            )
        if dry_run:
            for request in requests:
                typer.echo(msgspec.json.encode(request).decode())
        else:
            publish_requests(current, requests)
            typer.echo(f"{len(requests)} requests published to {DISCOVERY_REQUESTS}")
    except (ValueError, LookupError, SettingMissingError, PublishError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _limits(max_positions: int | None, share: float | None) -> PoolLimits | None:
    """Return how one account trades all symbols; None when each symbol is searched by itself."""
    if max_positions is not None:
        return PoolLimits(max_positions=max_positions, fraction=share)
    if share is not None:
        raise ValueError("--position-share is of one account that trades all symbols: give --max-positions too")
    return None


def make_requests(
    pool: DatabasePool,
    symbols: Sequence[str],
    timeframe: str,
    windows: Sequence[int],
    strategies: Sequence[Strategy],
    search: SearchSettings,
    costs: Costs,
    *,
    exchange: str | None = None,
    frictions: Frictions | None = None,
    together: PoolLimits | None = None,
) -> list[DiscoveryRequest]:
    """Return a request for each symbol, window (in candle periods, up to the newest candle), time frame and strategy.

    With `together` one account trades all symbols within these limits: a request is of all of them, and a window ends
    with the newest candle of any. A window that is longer than what retention keeps begins where that does.

    Raises LookupError for a symbol without stored candles, ValueError for a window that is not positive and for a
    strategy whose indicators are of a user's file: messages carry rules, never code.
    """
    length = timeframe_ms(timeframe)
    for window in windows:
        if window < 1:
            raise ValueError(f"windows must be positive numbers of candles, was {window}")
    for searched in search.timeframes:
        if timeframe_ms(searched) % length:
            raise ValueError(f"timeframes must be whole multiples of {timeframe}, was {searched}")
    for strategy in strategies:
        for file in source_files_of(strategy.indicators):
            raise ValueError(
                f"strategy {strategy.name} uses an indicator of {file.path}, and requests carry no code: search it "
                "with ray_jobs.discover --symbol"
            )
    found = []
    floors = []
    with pool.connection() as connection:
        for symbol in symbols:
            market = find_market(connection, symbol, timeframe, exchange)
            newest = newest_open_time(connection, market)
            assert newest is not None, "a market that was found has a candle"
            found.append((market, newest + length))
            floors.append(kept_from(connection, market))
    ends: list[tuple[Market, int, DiscoveryPool | None]] = [(market, end_time, None) for market, end_time in found]
    kept = [floor for floor in floors if floor is not None]
    if together is not None:
        markets = tuple((market.exchange, market.symbol) for market, _ in found)
        shared = DiscoveryPool(markets=markets, max_positions=together.max_positions, position_share=together.fraction)
        ends = [(found[0][0], max(end_time for _, end_time in found), shared)] if found else []
    return [
        discovery_request(
            market, start_time=start_time, end_time=end_time, strategy_name=strategy.name,
            settings=replace(search, timeframes=(searched,)), costs=costs, rules=carried_rules(strategy),
            frictions=frictions, pool=shared_by,
        )
        for market, end_time, shared_by in ends
        for start_time in dict.fromkeys(max([end_time - window * length, *kept]) for window in windows)
        for searched in search.timeframes or (timeframe,)
        for strategy in strategies
    ]  # fmt: skip


def publish_requests(current: Settings, requests: Sequence[DiscoveryRequest]) -> None:
    """Publish the requests and wait until all are acknowledged; raises PublishError."""
    bootstrap_servers = current.require("kafka_bootstrap_servers")
    with MessageProducer(bootstrap_servers, client_id="discovery-requests") as producer:
        for request in requests:
            producer.publish(DISCOVERY_REQUESTS, request, key=request.symbol, correlation_id=request.run_id)
        producer.flush()


if __name__ == "__main__":
    app()
