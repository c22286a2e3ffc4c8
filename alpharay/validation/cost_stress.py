"""What is left of a strategy when trading costs a multiple of what was assumed.

With frictions that are the fees of every tier, the impact and the funding that is paid, beside the slippage; ticks,
lots and the minimum order are what they are, and funding that is received is not multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.backtest.metrics import metrics_json
from alpharay.backtest.single import Backtest, backtest_strategy
from alpharay.backtest.stops import NO_STOPS, Stops
from alpharay.market.candles import Candles
from alpharay.strategies.strategy import Strategy
from alpharay.validation.excess import excess_sharpe

MULTIPLES = (1.0, 2.0, 3.0)
DEAREST = 0.49
"""No fee or slippage is stressed above this fraction."""

BREAK_EVEN_STEPS = 40
MOST_MULTIPLE = 100.0


@dataclass(frozen=True, slots=True)
class StressedCosts:
    """One multiple of the costs."""

    multiple: float
    fee: float
    slippage: float
    excess_sharpe: float
    metrics: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class CostStress:
    """The same trades' rules at rising costs."""

    levels: tuple[StressedCosts, ...]
    break_even: float | None
    """The multiple of the costs at which the return is zero; 0 when it loses without any, None above 100 or without
    costs to multiply."""

    def at(self, multiple: float) -> StressedCosts:
        """Return the level of a multiple; raises KeyError when it was not asked for."""
        for level in self.levels:
            if level.multiple == multiple:
                return level
        raise KeyError(f"multiple must be one of {[level.multiple for level in self.levels]}, was {multiple}")


def stressed(costs: Costs, multiple: float) -> Costs:
    """Return the costs with fee and slippage multiplied, each below one half."""
    return replace(costs, fee=min(costs.fee * multiple, DEAREST), slippage=min(costs.slippage * multiple, DEAREST))


def stressed_frictions(frictions: Frictions | None, multiple: float) -> Frictions | None:
    """Return the frictions with what they take multiplied: see the module."""
    if frictions is None:
        return None
    tiers = tuple(replace(tier, fee=min(tier.fee * multiple, DEAREST)) for tier in frictions.fee_tiers)
    impact, funding = frictions.impact, frictions.funding
    return replace(
        frictions,
        fee_tiers=tiers,
        impact=None if impact is None else replace(impact, coefficient=impact.coefficient * multiple),
        funding=None
        if funding is None
        else replace(funding, long=_paid(funding.long, multiple), short=_paid(funding.short, multiple)),
    )


def _paid(rate: float, multiple: float) -> float:
    return min(rate * multiple, DEAREST) if rate > 0.0 else rate


def cost_stress(
    strategy: Strategy,
    parameters: Mapping[str, float],
    candles: Candles,
    costs: Costs,
    stops: Stops = NO_STOPS,
    multiples: Sequence[float] = MULTIPLES,
    frictions: Frictions | None = None,
) -> CostStress:
    """Backtest one parameter set at each multiple of the costs, and find the multiple that eats the whole return."""

    def at(multiple: float) -> Backtest:
        return backtest_strategy(
            strategy,
            parameters,
            candles,
            costs=stressed(costs, multiple),
            stops=stops,
            frictions=stressed_frictions(frictions, multiple),
        )

    levels = []
    for multiple in multiples:
        result, paid = at(multiple), stressed(costs, multiple)
        levels.append(
            StressedCosts(
                multiple, paid.fee, paid.slippage, excess_sharpe(result, candles), metrics_json(result.metrics)
            )
        )
    free = stressed(costs, 0.0) == costs and stressed_frictions(frictions, 0.0) == frictions
    return CostStress(tuple(levels), None if free else _break_even(at))


def _break_even(at: Callable[[float], Backtest]) -> float | None:
    low, high = 0.0, MOST_MULTIPLE
    if at(low).metrics.total_return <= 0.0:
        return 0.0
    if at(high).metrics.total_return > 0.0:
        return None
    for _ in range(BREAK_EVEN_STEPS):
        middle = (low + high) / 2.0
        if at(middle).metrics.total_return > 0.0:
            low = middle
        else:
            high = middle
        if high - low < 0.005:
            break
    return low
