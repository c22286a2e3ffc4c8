"""The search against other optimisers, at equal backtests: how often the best parameters are found by whom.

    python -m benchmarks.optimisers --json --results optimisers.jsonl
    python -m benchmarks.optimisers --budgets 300 --seeds 3 --optimisers alpharay,random,cma_es

Every optimiser searches the same grid with the same repair of order constraints, on the same candles, costs and
objective. A backtest is counted when its parameters were not tried before in the run, so nobody pays for a duplicate;
an optimiser that hardly finds new ones ends after twice as many tries. Each run (strategy, symbol, seed, budget) ranks
the optimisers by the best score they found, equals share their ranks' mean.

Results go to the `--results` file one by one; the same command goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cma
import numpy as np
import optuna
from deap import algorithms, base, creator, tools
from scipy.stats import rankdata

from alpharay.discovery.evaluation import Batch, Evaluator
from alpharay.discovery.objectives import objective_named, scores
from alpharay.discovery.search import SearchSettings, discover
from alpharay.discovery.search_space import SearchSpace, random_population, repair, search_space
from alpharay.market.candles import Candles, FloatArray
from alpharay.market.files import read_candles
from alpharay.market.resampling import resample
from alpharay.strategies.catalogue import strategy_named
from alpharay.strategies.strategy import Strategy
from benchmarks.report import Figures, machine, report, versions

DATA = Path(__file__).resolve().parents[1] / "shared" / "data"
FAMILIES = (
    "ADX_STOCHASTIC",
    "BBAND_W_R",
    "ICHIMOKU_CLOUD",
    "LINEAR_REGRESSION_CHANNELS",
    "MACD_CROSSOVER",
    "PARABOLIC_SAR",
    "SMA_RSI",
    "TRIPLE_EMA_CROSSOVER",
)
SYMBOLS = ("BTC", "ETH", "LTC")
TIMEFRAME = "10m"
BARS = 20_000
BUDGETS = {300: (30, 10), 1500: (50, 30)}
"""Backtests, and the population and the generations with which the genetic searches use them."""
MIN_TRADES = 10
OBJECTIVE = "sharpe"
TRIES_A_BACKTEST = 2
NO_TRADE = -1e3
"""What an optimiser that cannot take -inf is told."""


class BudgetSpent(Exception):  # noqa: N818 - no error: it ends an optimiser that knows no other end
    """The run has made its last backtest."""


class Problem:
    """One strategy on one market; remembers what was tried, and the best of it."""

    def __init__(self, strategy: Strategy, evaluator: Evaluator, budget: int) -> None:
        self.space: SearchSpace = search_space(strategy)
        self.budget, self.tries, self.best = budget, 0, -np.inf
        self._strategy, self._evaluator = strategy, evaluator
        self._known: dict[bytes, float] = {}

    @property
    def evaluations(self) -> int:
        """Distinct genomes so far."""
        return len(self._known)

    def __call__(self, genomes: FloatArray) -> FloatArray:
        """Return the scores of repaired genomes; raises BudgetSpent when nothing is left to ask."""
        if self.evaluations >= self.budget or self.tries >= self.budget * TRIES_A_BACKTEST:
            raise BudgetSpent
        genomes = repair(self.space, genomes)
        self.tries += len(genomes)
        fresh = {row.tobytes(): row for row in genomes if row.tobytes() not in self._known}
        rows = list(fresh.values())[: self.budget - self.evaluations]
        if rows:
            metrics = self._evaluator(Batch(self._strategy, np.array(rows))).metrics
            found = scores(objective_named(OBJECTIVE), metrics, MIN_TRADES)
            self._known.update(zip((row.tobytes() for row in rows), found.tolist(), strict=True))
            self.best = max(self.best, float(found.max()))
        return np.array([self._known.get(row.tobytes(), -np.inf) for row in genomes])


def random_search(problem: Problem, seed: int, _population: int) -> None:
    generator = np.random.default_rng([seed, 77])
    while True:
        problem(random_population(problem.space, 100, generator))


def deap_ea_simple(problem: Problem, seed: int, population: int) -> None:
    """Run DEAP's own loop with its operators for bounded reals; rounding and repair happen in the evaluation."""
    import random

    random.seed(seed)
    low, high = problem.space.low.tolist(), problem.space.high.tolist()
    if not hasattr(creator, "BestScore"):
        creator.create("BestScore", base.Fitness, weights=(1.0,))
        creator.create("Genome", list, fitness=creator.BestScore)
    toolbox = base.Toolbox()
    toolbox.register("individual", lambda: creator.Genome(map(random.uniform, low, high)))
    toolbox.register("evaluate", lambda genome: genome)
    toolbox.register("map", lambda _, genomes: [(score,) for score in problem(np.array(list(genomes)))])
    toolbox.register("mate", tools.cxSimulatedBinaryBounded, eta=15.0, low=low, up=high)
    toolbox.register("mutate", tools.mutPolynomialBounded, eta=20.0, low=low, up=high, indpb=1.0 / len(low))
    toolbox.register("select", tools.selTournament, tournsize=3)
    first = [toolbox.individual() for _ in range(population)]
    algorithms.eaSimple(first, toolbox, cxpb=0.9, mutpb=0.5, ngen=10_000, verbose=False)


def optuna_tpe(problem: Problem, seed: int, _population: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    while True:
        trial = study.ask()
        values = [
            trial.suggest_int(gene.name, int(gene.low), int(gene.high))
            if gene.integer
            else trial.suggest_float(gene.name, gene.low, gene.high)
            for gene in problem.space.genes
        ]
        score = float(problem(np.array([values], dtype=np.float64))[0])
        study.tell(trial, max(score, NO_TRADE))


def cma_es(problem: Problem, seed: int, _population: int) -> None:
    """Run CMA-ES on parameters scaled to the unit cube, restarted with twice the population when it has converged."""
    space = problem.space
    generator = np.random.default_rng([seed, 78])
    rows = 4 + int(3 * np.log(len(space.genes)))
    while True:
        options = {
            "bounds": [0.0, 1.0], "popsize": rows, "seed": int(generator.integers(1, 2**31)), "verbose": -9,
        }  # fmt: skip
        start = generator.random(len(space.genes))
        # It does not take one dimension: a second one that means nothing is what its author advises.
        padded = np.append(start, 0.5) if len(start) == 1 else start
        strategy = cma.CMAEvolutionStrategy(padded, 0.25, options)
        while not strategy.stop():
            asked = strategy.ask()
            units = np.array(asked)[:, : len(space.genes)]
            found = problem(space.low + units * (space.high - space.low))
            strategy.tell(asked, np.maximum(found, NO_TRADE) * -1.0)
        rows *= 2


OPTIMISERS: dict[str, Callable[[Problem, int, int], None]] = {
    "random": random_search,
    "deap_ea_simple": deap_ea_simple,
    "optuna_tpe": optuna_tpe,
    "cma_es": cma_es,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one optimiser."""

    optimiser: str
    strategy: str
    symbol: str
    seed: int
    budget: int


def perform(run: Run, evaluator: Evaluator) -> dict[str, object]:
    """Return the best score of a run, its backtests and its seconds."""
    strategy = strategy_named(run.strategy)
    population, generations = BUDGETS[run.budget]
    started = time.perf_counter()
    if run.optimiser == "alpharay":
        settings = SearchSettings(
            population=population,
            generations=generations,
            patience=generations,
            seed=run.seed,
            objective=OBJECTIVE,
            min_trades=MIN_TRADES,
            train_fraction=1.0,
            top_n=1,
        )
        found = discover(strategy, evaluator.candles, settings)
        best, evaluations = found.best, found.evaluations
    else:
        problem = Problem(strategy, evaluator, run.budget)
        try:
            OPTIMISERS[run.optimiser](problem, run.seed, population)
        except BudgetSpent:
            best, evaluations = problem.best, problem.evaluations
    assert evaluations <= run.budget, f"{run} made {evaluations} backtests"
    return {"best": best, "evaluations": evaluations, "seconds": time.perf_counter() - started}


def load(symbol: str, folder: Path) -> Candles:
    """Return the newest candles of a symbol."""
    return resample(read_candles(folder / f"{symbol}-USD_1m.parquet"), TIMEFRAME).tail(BARS)


def results_of(runs: Sequence[Run], file: Path, folder: Path) -> Iterator[tuple[Run, dict[str, object]]]:
    """Yield every run with its result; those that the file has are not done again."""
    done = {}
    if file.is_file():
        for line in file.read_text().splitlines():
            item = json.loads(line)
            done[Run(**item["run"])] = item["result"]
    symbols = {run.symbol for run in runs}
    markets: dict[str, Evaluator] = {}
    # Seed by seed, so that what was done when it is ended early is a smaller whole.
    for run in sorted(runs, key=lambda run: (run.budget, run.seed, run.symbol, run.strategy)):
        if run not in done:
            if run.symbol not in markets:
                markets[run.symbol] = Evaluator(load(run.symbol, folder), share=len(symbols))
            done[run] = perform(run, markets[run.symbol])
            with file.open("a") as lines:
                named = {name: getattr(run, name) for name in Run.__slots__}
                lines.write(json.dumps({"run": named, "result": done[run]}) + "\n")
        yield run, done[run]


def standings(found: Sequence[tuple[Run, dict[str, object]]], optimisers: Sequence[str]) -> list[Figures]:
    """Return a row for each budget and optimiser: its ranks (1 is best), and whom AlphaRay did better than."""
    rows: list[Figures] = []
    for budget in sorted({run.budget for run, _ in found}):
        contests: dict[tuple[str, str, int], dict[str, dict[str, object]]] = {}
        for run, result in found:
            if run.budget == budget:
                contests.setdefault((run.strategy, run.symbol, run.seed), {})[run.optimiser] = result
        whole = [item for item in contests.values() if set(item) == set(optimisers)]
        if not whole:
            continue
        best = np.array([[float(str(item[name]["best"])) for name in optimisers] for item in whole])
        ranks = np.array([rankdata(-np.round(row, 12)) for row in best])
        mine = best[:, optimisers.index("alpharay")] if "alpharay" in optimisers else best[:, 0]
        for column, name in enumerate(optimisers):
            rows.append(
                {
                    "budget": budget,
                    "optimiser": name,
                    "contests": len(whole),
                    "median_rank": float(np.median(ranks[:, column])),
                    "mean_rank": round(float(ranks[:, column].mean()), 3),
                    "alpharay_better": int((mine > best[:, column] + 1e-12).sum()),
                    "equal": int((np.abs(mine - best[:, column]) <= 1e-12).sum()),
                    "alpharay_worse": int((mine < best[:, column] - 1e-12).sum()),
                    "mean_best": round(float(best[:, column].mean()), 4),
                    "seconds_a_run": round(float(np.mean([item[name]["seconds"] for item in whole])), 3),
                }
            )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with SYMBOL-USD_1m.parquet files")
    parser.add_argument("--results", type=Path, default=Path("optimisers.jsonl"), help="where the runs are kept")
    parser.add_argument("--optimisers", default="alpharay," + ",".join(OPTIMISERS))
    parser.add_argument("--strategies", default=",".join(FAMILIES))
    parser.add_argument("--symbols", default=",".join(SYMBOLS))
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    optimisers = chosen.optimisers.split(",")
    runs = [
        Run(optimiser, strategy, symbol, seed, int(budget))
        for budget in chosen.budgets.split(",")
        for symbol in chosen.symbols.split(",")
        for strategy in chosen.strategies.split(",")
        for seed in range(1, chosen.seeds + 1)
        for optimiser in optimisers
    ]
    rows = standings(list(results_of(runs, chosen.results, chosen.data)), optimisers)
    report(
        "optimisers",
        {
            "families": chosen.strategies.split(","),
            "symbols": chosen.symbols.split(","),
            "seeds": chosen.seeds,
            "candles": f"the newest {BARS:,} of {TIMEFRAME}",
            "objective": OBJECTIVE,
            "machine": machine(),
            "versions": versions("deap", "optuna", "cma", "numpy"),
        },
        rows,
        as_json=chosen.json,
    )


if __name__ == "__main__":
    main()
