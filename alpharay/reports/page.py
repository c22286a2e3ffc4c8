"""The page around the figures: one HTML file with its style and its script inside, which may not ask the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

# The browser itself refuses whatever would leave the file: it can be opened offline and sent to anybody.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

STYLE = """
:root { --ink: #111827; --soft: #6b7280; --line: #e5e7eb; --paper: #ffffff; --wash: #f8fafc; --blue: #2563eb;
  --good: #047857; --bad: #b91c1c; --open: #b45309; --none: #475569; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink);
  font: 14px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header > div { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header { background: var(--paper); border-bottom: 1px solid var(--line); padding: 28px 0 20px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 2px; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 0 0 4px; letter-spacing: -0.005em; }
p { margin: 4px 0 10px; max-width: 90ch; }
.soft { color: var(--soft); }
.verdict { border-left: 5px solid var(--none); background: var(--wash); padding: 12px 16px; margin: 16px 0 0; }
.verdict strong { display: block; letter-spacing: .06em; font-size: 12px; color: var(--none); }
.verdict p { margin: 2px 0 0; font-size: 15px; }
.VALIDATED, .DEPLOYED { border-color: var(--good); } .VALIDATED strong, .DEPLOYED strong { color: var(--good); }
.REJECTED, .RETIRED { border-color: var(--bad); } .REJECTED strong, .RETIRED strong { color: var(--bad); }
.INSUFFICIENT { border-color: var(--open); } .INSUFFICIENT strong { color: var(--open); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 18px 0 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; background: var(--paper); }
.card span { display: block; color: var(--soft); font-size: 12px; }
.card b { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 18px; font-size: 13px; }
nav a { color: var(--blue); text-decoration: none; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
  margin: 18px 0; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; margin: 6px 0 10px; }
th, td { text-align: right; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { white-space: normal; min-width: 22ch; }
tr.shown td { background: #eff6ff; }
tr.dim td { color: var(--soft); }
.passed { color: var(--good); } .failed { color: var(--bad); } .insufficient { color: var(--open); }
.not_reached { color: var(--soft); }
code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--wash);
  border: 1px solid var(--line); border-radius: 4px; padding: 1px 5px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 8px 0; }
dt { color: var(--soft); } dd { margin: 0; }
footer { color: var(--soft); font-size: 12px; padding: 0 24px 40px; max-width: 1180px; margin: 0 auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 8px; }
.pairs > * { min-width: 0; }
@media print { section { break-inside: avoid; } nav { display: none; } }
"""

_CONFIGURATION = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is HTML already; everything else is escaped."""

    html: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text in a table that is to be read, not compared: to the left, in several lines where it is long."""

    text: str


Cell = str | Words | Markup


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    name: str
    """What the navigation and the fragment of the address call it."""
    heading: str
    parts: tuple[Markup, ...]


def page(title: str, head: Sequence[Markup], sections: Sequence[Section], foot: str) -> str:
    """Return the whole file."""
    links = "".join(
        f'<a href="#{escape(item.name)}">{escape(item.name.replace("-", " ").capitalize())}</a>' for item in sections
    )
    body = "".join(
        f'<section id="{escape(item.name)}"><h2>{escape(item.heading)}</h2>{_joined(item.parts)}</section>'
        for item in sections
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>"
        f"<header><div><h1>{escape(title)}</h1>{_joined(head)}<nav>{links}</nav></div></header>"
        f"<main>{body}</main><footer>{escape(foot)}</footer></body></html>\n"
    )


def paragraph(text: str, *, soft: bool = False) -> Markup:
    """Return a paragraph of plain text."""
    return Markup(f'<p class="soft">{escape(text)}</p>' if soft else f"<p>{escape(text)}</p>")


def code(text: str) -> Markup:
    """Return text as something to type, or a rule."""
    return Markup(f"<code>{escape(text)}</code>")


def verdict_box(status: str, text: str) -> Markup:
    """Return the sentence that everything else explains, coloured by its status."""
    return Markup(
        f'<div class="verdict {escape(status)}"><strong>{escape(status or "NOT VALIDATED")}</strong>'
        f"<p>{escape(text)}</p></div>"
    )


def cards(values: Sequence[tuple[str, str]]) -> Markup:
    """Return a row of large figures, each with its name."""
    inner = "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b></div>' for name, value in values
    )
    return Markup(f'<div class="cards">{inner}</div>')


def definitions(items: Sequence[tuple[str, Cell]]) -> Markup:
    """Return names with what they mean."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{_cell(value)}</dd>" for name, value in items)
    return Markup(f"<dl>{inner}</dl>")


def table(
    headings: Sequence[str | Words], rows: Sequence[Sequence[Cell]], *, row_classes: Sequence[str] | None = None
) -> Markup:
    """Return a table; the first column is text, the others are figures."""
    classes = row_classes if row_classes is not None else [""] * len(rows)
    top = "".join(_table_cell(heading, "th") for heading in headings)
    body = "".join(
        f'<tr class="{escape(name)}">{"".join(map(_table_cell, row))}</tr>'
        for row, name in zip(rows, classes, strict=True)
    )
    return Markup(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


def drawn(figure: go.Figure) -> Markup:
    """Return a figure for a page that has the script."""
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIGURATION))


def side_by_side(parts: Sequence[Markup]) -> Markup:
    """Return parts beside each other where there is room."""
    return Markup(f'<div class="pairs">{"".join(f"<div>{part.html}</div>" for part in parts)}</div>')


def _table_cell(value: Cell, tag: str = "td") -> str:
    text = ' class="text"' if isinstance(value, Words) else ""
    return f"<{tag}{text}>{_cell(value)}</{tag}>"


def _cell(value: Cell) -> str:
    if isinstance(value, Markup):
        return value.html
    return escape(value.text if isinstance(value, Words) else value)


def _joined(parts: Sequence[Markup]) -> str:
    return "".join(part.html for part in parts)
