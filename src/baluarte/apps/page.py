"""The shell of every page: one self-contained HTML file, no requests, no script, good on paper."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal

from baluarte.apps.charts.values import SYMBOL, Tone
from baluarte.apps.html import Html, join, tag
from baluarte.apps.numerals import Language

Align = Literal["left", "right"]


def page(
    title: str,
    *,
    language: Language,
    lead: str,
    sections: Sequence[Html],
    eyebrow: str = "Baluarte",
    footer: str = "",
) -> Html:
    """A whole page.

    Args:
        lead: the sentence that says what matters first.
        eyebrow: a short line above the title, such as the detector and its version.
        footer: where the page comes from: command, digests, date.
    """
    style = files("baluarte.apps").joinpath("pages", "style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("title", title),
        tag("style", Html(style)),
    )
    header = tag(
        "header",
        tag("p", eyebrow, class_="eyebrow"),
        tag("h1", title),
        tag("p", lead, class_="lead"),
    )
    foot = tag("footer", tag("p", footer)) if footer else None
    body = tag("body", tag("main", header, *sections, foot))
    return Html(f"<!doctype html>\n{tag('html', head, body, lang=language)}\n")


def section(title: str, *content: str | None) -> Html:
    """A titled part of a page."""
    return tag("section", tag("h2", title), *content)


def paragraph(*content: str) -> Html:
    """Running text."""
    return tag("p", *content)


def figure(chart: Html, *, caption: str, source: str) -> Html:
    """A chart with what it shows, and below it the command or ledger entry it comes from."""
    note = tag("figcaption", tag("span", caption), tag("code", source, class_="source"))
    return tag("figure", chart, note)


def facts(items: Sequence[tuple[str, str]]) -> Html:
    """A few named figures, large."""
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in items]
    return tag("dl", *cells, class_="facts")


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[int] = ()
) -> Html:
    """A table; the columns whose positions are ``numeric`` align right."""

    def cells(name: str, row: Sequence[str]) -> Html:
        styled = [
            tag(name, value, class_="number" if at in numeric else None)
            for at, value in enumerate(row)
        ]
        return tag("tr", *styled)

    body = tag("tbody", *(cells("td", row) for row in rows))
    return tag("div", tag("table", tag("thead", cells("th", heads)), body), class_="scroll")


def verdict(tone: Tone, text: str) -> Html:
    """A verdict as colour, symbol and words together."""
    return tag("span", f"{SYMBOL[tone]} {text}".strip(), class_=f"verdict {tone}")


def notice(tone: Tone, title: str, *content: str | None) -> Html:
    """A finding, an alarm or a promise: a block with its tone at the edge."""
    return tag("div", tag("h3", verdict(tone, title)), *content, class_=f"notice {tone}")


def command(text: str) -> Html:
    """A command that can be typed."""
    return tag("pre", tag("code", text), class_="command")


def listing(items: Sequence[str]) -> Html:
    """A plain list."""
    return tag("ul", *(tag("li", item) for item in items))


def together(*parts: Html) -> Html:
    """Parts side by side where there is room."""
    return tag("div", join(list(parts)), class_="together")
