"""An evolution's run: its id follows from all that decides what it finds, and its help says what is not tested."""

from __future__ import annotations

from dataclasses import replace

from typer.testing import CliRunner

from alpharay.backtest.costs import Costs
from alpharay.cli.main import app
from alpharay.discovery.rule_evolution import EvolutionSettings, evolve_rules
from alpharay.discovery.search import SearchSettings
from alpharay.market.sample import sample_candles
from ray_jobs.evolve import MarketEvolution, evolution_request

CANDLES = sample_candles()[0].tail(500)
ASKED = MarketEvolution(
    symbol="SPX/USD", timeframe="1d", exchange=None, days=None, costs=Costs(), workers=0, time_budget_s=None,
    evolution=EvolutionSettings(search=SearchSettings(population=12, generations=3, top_n=2, seed=3), elites=2),
)  # fmt: skip


def test_the_id_follows_from_what_is_asked_and_from_nothing_else() -> None:
    request = evolution_request(ASKED, CANDLES, [])
    assert request.run_id.startswith("evolved-")
    assert (request.strategy_name, request.generations) == ("EVOLVED", 3)
    assert evolution_request(replace(ASKED, workers=4, time_budget_s=9.0), CANDLES, []) == request
    evolution = ASKED.evolution
    others = (
        replace(ASKED, costs=Costs(fee=0.0)),
        replace(ASKED, evolution=replace(evolution, most_nodes=9)),
        replace(ASKED, evolution=replace(evolution, height=2)),
        replace(ASKED, evolution=replace(evolution, search=replace(evolution.search, seed=4))),
    )
    ids = {evolution_request(other, CANDLES, []).run_id for other in others}
    ids.add(evolution_request(ASKED, CANDLES.tail(499), []).run_id)
    assert len(ids | {request.run_id}) == len(others) + 2


def test_an_evolution_cut_short_is_one_of_as_many_generations_as_it_had() -> None:
    found = evolve_rules(CANDLES, ASKED.evolution, costs=ASKED.costs)
    assert evolution_request(ASKED, CANDLES, found) == evolution_request(ASKED, CANDLES, [])
    cut = [replace(report, stop_reason="interrupted", log=report.log[:2]) for report in found]
    search = replace(ASKED.evolution.search, generations=2)
    asked_so = replace(ASKED, evolution=replace(ASKED.evolution, search=search))
    assert evolution_request(ASKED, CANDLES, cut) == evolution_request(asked_so, CANDLES, [])


def test_the_help_says_that_the_permutation_test_does_not_repeat_the_evolution() -> None:
    help_ = CliRunner().invoke(app, ["evolve", "--help"], env={"COLUMNS": "200"}).stdout
    assert "it does not repeat the evolution" in " ".join(help_.split())


def test_an_objective_of_several_scores_is_refused() -> None:
    result = CliRunner().invoke(app, ["evolve", "--symbol", "SPX", "--objective", "nsga2"])
    assert result.exit_code == 2
    assert "objective" in result.stderr
