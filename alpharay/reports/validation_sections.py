"""What a validation's record says, section by section; without a record each says so in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alpharay.reports.content import parameters_text
from alpharay.reports.formats import day, number, percent
from alpharay.reports.page import Cell, Markup, Section, Words, drawn, paragraph, side_by_side, table
from alpharay.reports.validation_figures import (
    cost_figure,
    neighbourhood_figure,
    null_figure,
    overfitting_figure,
    regime_name,
    regimes_figure,
    walk_forward_figure,
)

Record = Mapping[str, Any]
Parts = tuple[Markup, ...]

MOST_MAPS = 4
"""Heat maps of the most sensitive pairs of parameters; a strategy of six has fifteen pairs."""

NOTHING = "There is no validation of it yet, so there is nothing to show."

OUTCOMES = {
    "passed": "passed",
    "failed": "failed",
    "insufficient": "not enough evidence",
    "not_reached": "not asked",
}


def validation_sections(record: Record | None, objective: str) -> list[Section]:
    """Return all sections that rest on a validation's record."""

    def neighbourhood(found: Record) -> Parts:
        return neighbourhood_parts(found, objective)

    makers: list[tuple[str, str, Callable[[Record], Parts]]] = [
        ("permutation", "Does the same search find as much where there is nothing?", permutation_parts),
        ("walk-forward", "Walk-forward: searched again and again, traded on what came after", walk_forward_parts),
        ("neighbourhood", "Neighbourhood: a hill or a needle?", neighbourhood),
        ("costs", "What is left when trading costs more", cost_parts),
        ("regimes", "In which markets it earned", regime_parts),
        ("overfitting", "Overfitting, deflated Sharpe ratio, superior ability", diagnostics_parts),
    ]
    return [
        Section(name, heading, (paragraph(NOTHING),) if record is None else parts(record))
        for name, heading, parts in makers
    ]


def gates_table(record: Record) -> Markup:
    """Return every gate with its outcome and its sentence."""
    rows = [
        [
            gate["name"].replace("_", " "),
            Markup(f'<span class="{gate["outcome"]}">{OUTCOMES[gate["outcome"]]}</span>')
            if gate["outcome"] in OUTCOMES
            else str(gate["outcome"]),
            number(gate["value"], 3),
            number(gate["threshold"], 3),
            Words(gate["text"]),
        ]
        for gate in record["verdict"]["gates"]
    ]
    return table(["gate", "outcome", "measured", "needed", Words("")], rows)


def permutation_parts(record: Record) -> Parts:
    """Return the null distribution with the observed value."""
    found = record["permutation"]
    empty = sum(value is None for value in found["null"])
    text = (
        f"The whole search was repeated on {len(found['null']):,} sign-flipped copies of these candles, which keep "
        f"everything but an edge. {found['exceedances']:,} of them did as well: p = {found['p_value']:.3f}."
    )
    if found["stopped_early"]:
        text += f" It stopped early: of {found['permutations']:,} permutations no more could have changed the outcome."
    if empty:
        text += f" In {empty:,} of them the search found nothing that trades; they are not drawn."
    return (paragraph(text), drawn(null_figure(found)))


def walk_forward_parts(record: Record) -> Parts:
    """Return the joined account and the windows."""
    found = record["walk_forward"]
    if found is None:
        return (paragraph("The candles do not suffice for walk-forward windows."),)
    text = (
        f"The joined account returned {percent(found['total_return'], signed=True)} with a Sharpe ratio of "
        f"{number(found['sharpe'])}, {number(found['excess_sharpe'])} in excess of a market held as often. "
        f"{_left(found['efficiency'])} of the Sharpe ratio in sample was left, and "
        f"{percent(found['profitable_windows'])} of the windows made money. {found['purged_bars']:,} bars between "
        "search and trading were left out."
    )
    rows: list[list[Cell]] = [
        [
            f"{window['number'] + 1}",
            f"{day(window['train_start_time'])} to {day(window['train_end_time'])}",
            f"{day(window['test_start_time'])} to {day(window['test_end_time'])}",
            number(window["in_sample_sharpe"]),
            number(window["out_of_sample_sharpe"]),
            percent(window["out_of_sample_return"], signed=True),
            f"{window['trades']:,}",
            Words("nothing found" if window["parameters"] is None else parameters_text(window["parameters"])),
        ]
        for window in found["windows"]
    ]
    headings: list[str | Words] = [
        "window",
        "searched",
        "traded",
        "Sharpe searched",
        "Sharpe traded",
        "return",
        "trades",
        Words("parameters"),
    ]
    return (paragraph(text), drawn(walk_forward_figure(found)), table(headings, rows))


def neighbourhood_parts(record: Record, objective: str) -> Parts:
    """Return the heat maps of the most sensitive parameters."""
    found = record["neighbourhood"]
    if not found["maps"]:
        return (paragraph("The strategy has no parameter to vary."),)
    name = objective.replace("_", " ") or "score"
    text = (
        f"{percent(found['robust_share'])} of {found['neighbours']:,} neighbouring parameter sets keep half of the "
        f"{name} of {number(found['score'])} in sample. What works only with one value and not with the next has "
        "learned its candles by heart. An empty cell trades too little or breaks an order of the parameters."
    )
    sensitive = [[parameter, percent(loss)] for parameter, loss in found["sensitivity"].items()]
    maps = [drawn(neighbourhood_figure(item, record["parameters"], name)) for item in found["maps"][:MOST_MAPS]]
    more = len(found["maps"]) - len(maps)
    notes = [paragraph(f"{more} maps of less sensitive pairs are not drawn.", soft=True)] if more > 0 else []
    return (paragraph(text), side_by_side(maps), *notes, table(["parameter", f"{name} lost one step away"], sensitive))


def cost_parts(record: Record) -> Parts:
    """Return what multiples of the costs leave."""
    found = record["cost_stress"]
    rows = [
        [
            f"{level['multiple']:g}x",
            f"{level['fee']:.3%} + {level['slippage']:.3%}",
            number(level["excess_sharpe"]),
            percent(level["metrics"]["total_return"], signed=True),
            number(level["metrics"]["sharpe"]),
        ]
        for level in found["levels"]
    ]
    headings = ["costs", "fee + slippage", "excess Sharpe", "return", "Sharpe"]
    return (paragraph(_break_even(found["break_even"])), drawn(cost_figure(found)), table(headings, rows))


def _break_even(multiple: float | None) -> str:
    if multiple is None:
        return "It would still earn with a hundred times the costs, or there are none to multiply."
    if multiple == 0.0:
        return "It loses even without costs."
    if multiple < 1.0:
        return f"At these costs it loses; at {multiple:.1f} times as much it would break even."
    return f"Costs {multiple:.1f} times as high eat the whole return."


def _left(share: float | None) -> str:
    """Return a share as the beginning of a sentence; a loss leaves nothing, however large it is."""
    return "Nothing" if share is None or share <= 0.0 else percent(share)


def regime_parts(record: Record) -> Parts:
    """Return the days split by what was known before they began."""
    found = record["regimes"]
    if not found:
        return (paragraph("There is no full day to split by regime."),)
    text = (
        "Days by what was known before they began: volatility against its median so far, and the close against that "
        "of 30 days before. It shows, and decides nothing."
    )
    rows = [
        [
            regime_name(regime),
            f"{regime['days']:,}",
            percent(regime["total_return"], signed=True),
            percent(regime["market_return"], signed=True),
            number(regime["sharpe"]),
            number(regime["excess_sharpe"]),
        ]
        for regime in found
    ]
    headings = ["market", "days", "strategy", "market", "Sharpe", "excess Sharpe"]
    return (paragraph(text, soft=True), drawn(regimes_figure(found)), table(headings, rows))


def diagnostics_parts(record: Record) -> Parts:
    """Return what is shown beside the verdict and decides nothing, each with what it cannot tell."""
    found = record["diagnostics"]
    limits = found["limits"]
    rows: list[list[Cell]] = []
    parts: list[Markup] = []
    overfitting, deflated, ability = found["overfitting"], found["deflated_sharpe"], found["superior_ability"]
    if overfitting is not None:
        rows.append(
            [
                "probability of backtest overfitting",
                percent(overfitting["probability"]),
                Words(
                    f"Over all splits of {overfitting['blocks']} blocks of days, {overfitting['trials']:,} sets; the "
                    f"best in sample loses money on the other half in {percent(overfitting['probability_of_loss'])}. "
                    f"{limits['overfitting']}"
                ),
            ]
        )
        parts.append(drawn(overfitting_figure(overfitting)))
    if deflated is not None:
        rows.append(
            [
                "deflated Sharpe ratio",
                percent(deflated["probability"]),
                Words(
                    f"That the true Sharpe ratio is above zero after {deflated['trials']:,} independent tries on "
                    f"{deflated['days']:,} days: {number(deflated['sharpe'], 3)} a day was measured, "
                    f"{number(deflated['expected_best'], 3)} is the best to expect without an edge. "
                    f"{limits['deflated_sharpe']}"
                ),
            ]
        )
    if ability is not None:
        bounds = f"{number(ability['lower'], 3)} to {number(ability['upper'], 3)}"
        rows.append(
            [
                "superior predictive ability, p",
                number(ability["consistent"], 3),
                Words(
                    f"Of {ability['trials']:,} sets, by a bootstrap of blocks of {ability['block_days']:,} days; "
                    f"bounds {bounds}. {limits['superior_ability']}"
                ),
            ]
        )
    intro = "These figures decide nothing: each has a limit that the gates do not have."
    notes = [paragraph(f"Not computed: {note}.") for note in found["notes"]]
    return (
        paragraph(intro, soft=True),
        table(["", "", Words("what it says, and what it cannot")], rows),
        *notes,
        *parts,
    )
