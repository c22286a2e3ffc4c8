"""The report of a run: its structure, its figures against the backtest's numbers, and that it asks for nothing."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_material import SEARCH, searched, validated, waves

from alpharay.backtest.frictions import Frictions
from alpharay.backtest.single import backtest_strategy
from alpharay.discovery.search import discover, discover_all
from alpharay.discovery.split import Split, out_of_sample
from alpharay.reports.account_sections import accounts_of, changed_sentence
from alpharay.reports.content import EVOLVED_NOTE, ReportContent, ReportedStrategy, content_of
from alpharay.reports.formats import percent
from alpharay.reports.run_report import run_report, verdict_of, write_report
from alpharay.reports.search_log import search_log, search_log_from_json, search_log_json
from alpharay.reports.validation_sections import NOTHING, cost_parts, walk_forward_parts
from alpharay.strategies.catalogue import strategy_named

VALIDATION_SECTIONS = ("permutation", "walk-forward", "neighbourhood", "costs", "regimes", "overfitting")
SECTIONS = ("champions", "figures", "equity", "months", "trades", "rules", "search", *VALIDATION_SECTIONS)


class Page(HTMLParser):
    """The sections of a report, their text, and every address that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.loaded: list[str] = []
        self.scripts = 0
        self.plots: dict[str, int] = {}
        self.head = ""
        self._at, self._in = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in = tag
        self.scripts += tag == "script"
        if tag == "section":
            self._at = values["id"] or ""
            self.sections[self._at] = ""
            self.plots[self._at] = 0
        if "plotly-graph-div" in (values.get("class") or ""):
            self.plots[self._at] += 1
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "action")]
        if tag in ("link", "base", "iframe", "object", "embed"):
            self.loaded.append(tag)
        if tag == "a":
            assert (values["href"] or "").startswith("#")

    def handle_endtag(self, _tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style"):
            return
        if self._at:
            self.sections[self._at] += data
        else:
            self.head += data


def own_markup(text: str) -> str:
    """The page without the drawing library, of which there is one copy."""
    library = max(re.findall(r"<script>(.*?)</script>", text, re.DOTALL), key=len)
    assert text.count(library) == 1
    return text.replace(library, "")


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return content_of([searched()], validated(), run_id="double_ema_crossover-1")


@pytest.fixture(scope="module")
def text(content: ReportContent) -> str:
    return run_report(content)


def test_every_section_is_there_and_drawn(text: str) -> None:
    page = Page(text)
    assert tuple(page.sections) == SECTIONS
    drawn = {name for name, plots in page.plots.items() if plots}
    assert drawn == set(SECTIONS) - {"champions", "figures", "rules"}
    assert page.plots["equity"] == 2
    assert NOTHING not in text


def test_the_verdict_comes_first_with_every_gate(text: str) -> None:
    head = Page(text).head
    record = validated()
    assert record["verdict"]["text"] in head
    for gate in record["verdict"]["gates"]:
        assert gate["text"] in head


def test_diagnostics_stand_with_their_limits(text: str) -> None:
    diagnostics = Page(text).sections["overfitting"]
    for limit in validated()["diagnostics"]["limits"].values():
        assert limit in diagnostics


def test_the_file_asks_the_network_for_nothing_and_forbids_it(text: str) -> None:
    page = Page(text)
    assert page.loaded == []
    assert "default-src 'none'" in text
    assert "http://" not in own_markup(text)
    assert "https://" not in own_markup(text)


def test_figures_are_those_of_the_backtests(content: ReportContent, text: str) -> None:
    report = searched()
    best = report.champions[0]
    whole = backtest_strategy(report.strategy, best.parameters, waves())
    after = out_of_sample(report.strategy, best.parameters, report.parts)
    rows = Page(text).sections["figures"]
    assert percent(whole.metrics.total_return, signed=True) in rows
    assert f"{whole.metrics.final_equity:,.4f}" in rows
    assert f"{after.metrics.final_equity:,.4f}" in rows
    accounts = accounts_of(content)
    assert accounts.in_sample.metrics == best.in_sample
    assert accounts.out_of_sample is not None
    assert accounts.out_of_sample.metrics == best.out_of_sample


def test_a_search_with_frictions_is_drawn_with_them_and_says_so() -> None:
    frictions = Frictions(starting_capital=1_000.0, lot_size=0.5, minimum_notional=10.0)
    report = discover(strategy_named("DOUBLE_EMA_CROSSOVER"), waves(), SEARCH, frictions=frictions)
    content = content_of([report])
    accounts = accounts_of(content)
    assert accounts.in_sample.metrics == report.champions[0].in_sample
    assert accounts.hold_in_sample.metrics == report.hold_in_sample
    assert "an account of 1,000 with lot size 0.5" in Page(run_report(content)).sections["figures"]


def test_searches_on_several_time_frames_show_the_best_one_s_and_name_the_others() -> None:
    searches = discover_all(
        [strategy_named("DOUBLE_EMA_CROSSOVER"), strategy_named("SMA_EMA_CROSSOVER")],
        waves(), replace(SEARCH, timeframes=("1h", "4h")),
    )  # fmt: skip
    best = max((search for search in searches if search.champions), key=lambda search: search.champions[0].score)
    content = content_of(searches)
    timeframe = best.parts.candles.timeframe
    assert content.parts.candles.timeframe == timeframe
    of_timeframe = [search for search in searches if search.champions and search.parts.candles.timeframe == timeframe]
    assert len(content.strategies) == len(of_timeframe)
    (other,) = {"1h", "4h"} - {timeframe}
    assert f"Searches on {other} are not part of this report." in Page(run_report(content)).head
    assert content.evaluations == sum(search.evaluations for search in searches)


def test_an_evolved_rule_s_report_says_that_its_evolution_was_not_repeated() -> None:
    evolved = replace(searched(), strategy=replace(searched().strategy, name="EVOLVED_1A2B3C4D"))
    assert EVOLVED_NOTE in Page(run_report(content_of([evolved]))).head
    assert EVOLVED_NOTE not in Page(run_report(content_of([searched()]))).head


def test_without_a_validation_it_says_that_nothing_is_validated_and_what_to_run() -> None:
    bare = content_of([searched()])
    stored = replace(bare, strategies=(replace(bare.strategies[0], strategy_id="ab" * 32, status="CANDIDATE"),))
    assert "`alpharay validate abababababab`" in verdict_of(stored)[1]
    page = Page(run_report(bare))
    assert "Nothing is validated yet" in page.head
    for name in VALIDATION_SECTIONS:
        assert NOTHING in page.sections[name]
        assert page.plots[name] == 0


@pytest.mark.parametrize(("efficiency", "said"), [(0.5, "50.0% of"), (-1.6, "Nothing of"), (None, "Nothing of")])
def test_what_walk_forward_left_of_the_sharpe_ratio_is_never_less_than_nothing(
    efficiency: float | None, said: str
) -> None:
    record = {**validated(), "walk_forward": {**validated()["walk_forward"], "efficiency": efficiency}}
    text = "".join(part.html for part in walk_forward_parts(record))
    assert f"{said} the Sharpe ratio in sample was left" in text


@pytest.mark.parametrize(
    ("multiple", "said"),
    [
        (None, "It would still earn with a hundred times the costs"),
        (0.0, "It loses even without costs."),
        (0.4, "At these costs it loses; at 0.4 times as much it would break even."),
        (2.3, "Costs 2.3 times as high eat the whole return."),
    ],
)
def test_where_the_costs_break_even_is_a_sentence(multiple: float | None, said: str) -> None:
    record = {**validated(), "cost_stress": {**validated()["cost_stress"], "break_even": multiple}}
    assert said in "".join(part.html for part in cost_parts(record))


def test_a_run_without_a_log_says_so() -> None:
    page = Page(run_report(replace(content_of([searched()]), log=None)))
    assert "was not kept" in page.sections["search"]
    assert page.plots["search"] == 0


def test_a_plain_backtest_has_no_search_sections_and_no_split() -> None:
    candles = waves()
    strategy = strategy_named("SMA_RSI")
    content = ReportContent(
        parts=Split(candles, len(candles)),
        strategies=(ReportedStrategy(strategy=strategy, parameters=strategy.defaults),),
    )
    page = Page(run_report(content))
    assert "champions" not in page.sections
    assert "search" not in page.sections
    assert "out of sample" not in page.sections["equity"]
    assert not set(VALIDATION_SECTIONS) & page.sections.keys()


def test_a_search_that_found_nothing_says_so() -> None:
    nothing = discover(strategy_named("DOUBLE_EMA_CROSSOVER"), waves(), replace(SEARCH, min_trades=10_000))
    page = Page(run_report(content_of([nothing])))
    assert tuple(page.sections) == ("search",)
    assert "found no parameter set" in page.head


def test_a_strategy_that_never_trades_is_told_in_one_sentence() -> None:
    candles = waves().slice(0, 5)
    strategy = strategy_named("DOUBLE_EMA_CROSSOVER")
    shown = ReportedStrategy(strategy=strategy, parameters={"short": 10, "long": 90})
    page = Page(run_report(ReportContent(parts=Split(candles, 5), strategies=(shown,))))
    assert "It never traded" in page.sections["trades"]
    assert page.plots["trades"] == 0


def test_what_comes_from_outside_is_escaped(content: ReportContent) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    strategy = replace(searched().strategy, name=evil, description=evil)
    record = deepcopy(validated())
    record["verdict"]["text"] = record["verdict"]["gates"][0]["text"] = evil
    record["verdict"]["status"] = record["verdict"]["gates"][0]["name"] = evil
    record["diagnostics"]["limits"] = dict.fromkeys(record["diagnostics"]["limits"], evil)
    shown = replace(content.strategies[0], strategy=strategy, strategy_id=evil, status=evil)
    text = run_report(
        replace(content, strategies=(shown,), validation=record, run_id=evil, notes=(evil,), objective=evil)
    )
    assert "<script>alert" not in text
    assert "<img" not in own_markup(text)
    page = Page(text)
    assert page.loaded == []
    assert page.scripts == Page(run_report(content)).scripts


def test_figures_that_differ_from_the_stored_ones_are_told(content: ReportContent) -> None:
    accounts = accounts_of(content)
    assert changed_sentence(content, accounts) == ""
    stored = dict(content.strategies[0].in_sample or {}) | {"total_return": 9.0}
    other = replace(content, strategies=(replace(content.strategies[0], in_sample=stored),))
    assert "+900.0%" in changed_sentence(other, accounts)


def test_a_written_report_is_the_text_in_a_new_folder(content: ReportContent, text: str, tmp_path: Path) -> None:
    file = write_report(content, tmp_path / "new" / "report.html")
    # Each drawing has a random id.
    assert len(file.read_text(encoding="utf-8")) == len(text)


def test_the_log_survives_json_and_broken_ones_are_none() -> None:
    log = search_log(searched().log)
    kept = json.loads(json.dumps(search_log_json(log), allow_nan=False))
    assert search_log_from_json(kept) == log
    assert len(log) == len(searched().log)
    assert log.evaluations[-1] == searched().evaluations
    for broken in (None, {}, kept | {"best": []}, {name: [] for name in kept}):
        assert search_log_from_json(broken) is None


def test_infinite_scores_of_a_log_are_none() -> None:
    first = replace(searched().log[0], best=float("-inf"), median=float("-inf"))
    log = search_log([first])
    assert (log.best, log.median) == ((None,), (None,))
