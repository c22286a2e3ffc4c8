"""An evolution's run: its id follows from all that decides what it finds, and its help says what is not tested."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from typer.testing import CliRunner

from alpharay.backtest.costs import Costs
from alpharay.backtest.frictions import Frictions
from alpharay.bus.messages import DiscoveryPool, DiscoveryRequest, RuleEvolution
from alpharay.cli.main import app
from alpharay.discovery.evaluation import SerialExecutor
from alpharay.discovery.report import Generation
from alpharay.discovery.rule_evolution import EvolutionSettings, evolve_rules
from alpharay.discovery.search import SearchSettings
from alpharay.market.sample import sample_candles
from alpharay.store.checkpoints import StoredCheckpoint
from alpharay.store.message_writer import RefusedMessageError
from alpharay.store.requests import requested_costs, requested_evolution, store_request
from alpharay.strategies.codec import strategy_to_json
from ray_jobs.evolve import MarketEvolution, evolution_request
from ray_jobs.interruption import interruptions
from ray_jobs.request_search import Course, found_rules, search_requests

CANDLES = sample_candles()[0].tail(500)
ASKED = MarketEvolution(
    symbol="SPX/USD", timeframe="1d", exchange=None, days=None, costs=Costs(), workers=0, time_budget_s=None,
    evolution=EvolutionSettings(search=SearchSettings(population=12, generations=3, top_n=2, seed=3), elites=2),
)  # fmt: skip


def test_the_id_follows_from_what_is_asked_and_from_nothing_else() -> None:
    request = evolution_request(ASKED, CANDLES)
    assert request.run_id.startswith("evolved-")
    assert (request.strategy_name, request.generations) == ("EVOLVED", 3)
    assert evolution_request(replace(ASKED, workers=4, time_budget_s=9.0), CANDLES) == request
    evolution = ASKED.evolution
    others = (
        replace(ASKED, costs=Costs(fee=0.0)),
        replace(ASKED, frictions=Frictions(lot_size=0.5)),
        replace(ASKED, evolution=replace(evolution, most_nodes=9)),
        replace(ASKED, evolution=replace(evolution, height=2)),
        replace(ASKED, evolution=replace(evolution, search=replace(evolution.search, seed=4))),
    )
    ids = {evolution_request(other, CANDLES).run_id for other in others}
    ids.add(evolution_request(ASKED, CANDLES.tail(499)).run_id)
    assert len(ids | {request.run_id}) == len(others) + 2


def test_a_request_carries_all_that_decides_what_an_evolution_finds() -> None:
    request = msgspec.json.decode(
        msgspec.json.encode(evolution_request(replace(ASKED, frictions=Frictions(lot_size=0.5)), CANDLES)),
        type=DiscoveryRequest,
    )
    assert requested_evolution(request) == ASKED.evolution
    assert requested_costs(request) == (ASKED.costs, Frictions(lot_size=0.5))
    (found,) = search_requests([request], [CANDLES], Course(executor=SerialExecutor()))
    expected = evolve_rules(CANDLES, ASKED.evolution, costs=ASKED.costs, frictions=Frictions(lot_size=0.5))
    assert [(item.strategy, item.parameters, item.score) for item in found.messages] == [
        (strategy_to_json(one.strategy), one.champions[0].parameters, one.champions[0].score) for one in expected
    ]
    assert {item.run_id for item in found.messages} == {request.run_id}


def test_an_evolution_cut_short_is_one_of_as_many_generations_as_it_had() -> None:
    request = evolution_request(ASKED, CANDLES)
    found = evolve_rules(CANDLES, ASKED.evolution, costs=ASKED.costs)
    assert found_rules(request, found).request == request
    cut = found_rules(request, [replace(report, stop_reason="interrupted", log=report.log[:2]) for report in found])
    search = replace(ASKED.evolution.search, generations=2)
    asked_so = replace(ASKED, evolution=replace(ASKED.evolution, search=search))
    assert cut.request == evolution_request(asked_so, CANDLES)
    assert {item.run_id for item in cut.messages} == {cut.request.run_id}


def test_an_evolution_that_finds_nothing_ends_as_it_was_told() -> None:
    search = replace(ASKED.evolution.search, min_trades=10_000)
    request = evolution_request(replace(ASKED, evolution=replace(ASKED.evolution, search=search)), CANDLES)
    states: list[StoredCheckpoint] = []
    course = Course(executor=SerialExecutor(), on_state=lambda content_of: states.append(content_of(request)))
    (found,) = search_requests([request], [CANDLES], course)
    assert (found.messages, found.stop_reason, found.generations) == ([], "generations", 3)
    # Killed after its last generation, it has ended all the same.
    (again,) = search_requests([request], [CANDLES], replace(course, stored={request.run_id: states[-1]}))
    assert again == found


def test_a_stored_state_of_other_candles_is_not_gone_on_from() -> None:
    request = evolution_request(ASKED, CANDLES)
    states: list[StoredCheckpoint] = []
    other = replace(CANDLES, close=CANDLES.close * 1.001, high=CANDLES.high * 1.01)
    course = Course(executor=SerialExecutor(), on_state=lambda content_of: states.append(content_of(request)))
    search_requests([request], [other], course)
    seen: list[Generation] = []
    course = Course(executor=SerialExecutor(), on_generation=seen.append, stored={request.run_id: states[1]})
    (found,) = search_requests([request], [CANDLES], course)
    assert [one.generation for one in seen] == [1, 2, 3]
    assert found.messages == search_requests([request], [CANDLES], Course(executor=SerialExecutor()))[0].messages


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evolution": RuleEvolution(height=0, most_nodes=9, parsimony=1.4, crossover_probability=0.5, elites=2)},
         "height must be at least 1, was 0"),
        ({"resample_to": "3d"}, "resample_to was '3d'"),
        ({"pool": DiscoveryPool(markets=(("sample", "SPX/USD"),))}, "give either evolution or pool"),
    ],
)  # fmt: skip
def test_a_request_for_an_evolution_that_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    request = msgspec.structs.replace(evolution_request(ASKED, CANDLES), **change)
    with pytest.raises(RefusedMessageError, match=said):
        store_request(None, request)  # type: ignore[arg-type]


def test_the_help_says_that_the_permutation_test_does_not_repeat_the_evolution() -> None:
    help_ = CliRunner().invoke(app, ["evolve", "--help"], env={"COLUMNS": "200"}).stdout
    assert "it does not repeat the evolution" in " ".join(help_.split())


def test_an_objective_of_several_scores_is_refused() -> None:
    result = CliRunner().invoke(app, ["evolve", "--symbol", "SPX", "--objective", "nsga2"])
    assert result.exit_code == 2
    assert "objective" in result.stderr


def test_an_interruption_that_compiled_code_drops_is_not_lost() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptions() as interrupted:
        assert not interrupted.is_set()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
    assert signal.getsignal(signal.SIGINT) is before
