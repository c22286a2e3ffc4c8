"""The modules that are mutated, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

BACKTEST = "tests/unit/backtest"
STRATEGIES = "tests/unit/strategies"
DISCOVERY = "tests/unit/discovery"
VALIDATION = "tests/unit/validation"

WALK = (
    f"{BACKTEST}/test_walk_by_hand.py",
    f"{BACKTEST}/test_stops_by_hand.py",
    f"{BACKTEST}/test_walk_over_edges.py",
    f"{BACKTEST}/test_price_tables.py",
    f"{BACKTEST}/test_backtest_summary.py",
    f"{BACKTEST}/test_kernel_equals_plain.py",
)
ACCOUNT = (f"{BACKTEST}/test_frictions.py", f"{BACKTEST}/test_account_equals_plain.py", f"{BACKTEST}/test_pooled.py")
RULES = (f"{BACKTEST}/test_rule_programs.py", f"{STRATEGIES}/test_expression.py")


@dataclass(frozen=True, slots=True)
class Target:
    """A module as a path, and its tests, the quick ones first."""

    path: str
    tests: tuple[str, ...]
    compiled: bool = False
    """Whether its tests run compiled: what writes machine code cannot be interpreted."""

    @property
    def module(self) -> str:
        """The name to import it by."""
        return self.path.removesuffix(".py").replace("/", ".")


TARGETS = {
    "walk": Target("alpharay/backtest/walk.py", WALK),
    "holdings": Target("alpharay/backtest/holdings.py", WALK),
    "settlement": Target("alpharay/backtest/settlement.py", WALK),
    "touches": Target("alpharay/backtest/touches.py", (f"{BACKTEST}/test_touches.py", *WALK)),
    "metrics": Target("alpharay/backtest/metrics.py", (f"{BACKTEST}/test_metrics.py",)),
    "tables": Target("alpharay/backtest/tables.py", WALK),
    "bits": Target("alpharay/backtest/bits.py", (f"{BACKTEST}/test_bit_sets.py",), compiled=True),
    "rules": Target("alpharay/backtest/rules.py", RULES),
    "steps": Target("alpharay/backtest/steps.py", RULES),
    "tiles": Target("alpharay/backtest/tiles.py", RULES),
    "summary": Target("alpharay/backtest/summary.py", (f"{BACKTEST}/test_backtest_summary.py",)),
    "stops": Target("alpharay/backtest/stops.py", (f"{BACKTEST}/test_costs_and_stops.py", *WALK)),
    "single": Target("alpharay/backtest/single.py", (f"{BACKTEST}/test_walk_by_hand.py", *ACCOUNT, *WALK)),
    "shared_account": Target("alpharay/backtest/shared_account.py", ACCOUNT),
    "operators": Target("alpharay/discovery/operators.py", (f"{DISCOVERY}/test_operators.py",)),
    "promotion": Target("alpharay/validation/promotion.py", (f"{VALIDATION}/test_promotion.py",)),
    "sign_flip": Target("alpharay/validation/sign_flip.py", (f"{VALIDATION}/test_sign_flip.py",)),
    "permutation": Target("alpharay/validation/permutation.py", (f"{VALIDATION}/test_permutation.py",)),
    "deflated_sharpe": Target("alpharay/validation/deflated_sharpe.py", (f"{VALIDATION}/test_deflated_sharpe.py",)),
}

TOO_SLOW = ("test_long_holdings_cross_many_blocks", "test_real_candles")
"""Tests of tens of thousands of bars: too many for plain Python."""
