"""The page of a what-if: what another version would have decided, and what that would have cost."""

from __future__ import annotations

from baluarte import __version__
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.plot import plot
from baluarte.apps.charts.values import Axis, Line, Mark
from baluarte.apps.html import Html
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.page import figure, listing, notice, page, paragraph, section, table
from baluarte.apps.whatif_words import (
    alerts_line,
    changed_lines,
    costs_line,
    gap_line,
    judged_cells,
    labels_line,
    lead,
    move_cells,
    paired_lines,
    part_cells,
    read_line,
)
from baluarte.core.whatif import WhatIf


def whatif_page(found: WhatIf, texts: Texts) -> Html:
    """The whole page."""
    source = f"baluarte replay --with {found.version}"
    parts = [
        _gaps(found, texts),
        _changes(found, texts),
        _costs(found, texts),
        _days(found, texts, source),
        _segments(found, texts),
    ]
    return page(
        texts.get("whatif.title", version=found.version),
        language=texts.language,
        eyebrow=texts.get("whatif.eyebrow"),
        lead=lead(texts, found),
        sections=[part for part in parts if part is not None],
        footer=f"{read_line(texts, found)} · {source} · Baluarte {__version__}",
    )


def _gaps(found: WhatIf, texts: Texts) -> Html | None:
    if not found.gaps and not found.erased:
        return None
    lines = [gap_line(texts, gap) for gap in found.gaps]
    told = notice("unsure", texts.get("whatif.gaps_text"), listing(lines)) if lines else None
    erased = texts.get("whatif.erased", n=found.erased)
    return section(
        texts.get("whatif.gaps"), told, notice("unsure", erased) if found.erased else None
    )


def _changes(found: WhatIf, texts: Texts) -> Html:
    heads = [texts.get(f"whatif.head_{name}") for name in ("recorded", "version", "events")]
    heads[1] = found.version
    rows = [move_cells(texts, move) for move in found.moves]
    return section(
        texts.get("whatif.changes"),
        table(heads, rows, numeric=[2]) if rows else None,
        listing(changed_lines(texts, found)),
    )


def _costs(found: WhatIf, texts: Texts) -> Html:
    heads = ["", texts.get("whatif.head_recorded"), found.version]
    sides = zip(
        [texts.get(f"whatif.row_{name}") for name in ("caught", "missed", "false", "cost")],
        judged_cells(texts, found, found.old),
        judged_cells(texts, found, found.new),
        strict=True,
    )
    known = found.attacks + found.others
    return section(
        texts.get("whatif.cost"),
        paragraph(labels_line(texts, found)),
        table(heads, [list(side) for side in sides], numeric=[1, 2]) if known else None,
        *[notice("plain", line) for line in paired_lines(texts, found)],
        paragraph(costs_line(texts, found)) if known else None,
    )


def _days(found: WhatIf, texts: Texts, source: str) -> Html:
    chart = None
    if len(found.days) > 1:
        first = found.days[0].day
        places = [float(day.day - first) for day in found.days]
        sides = (
            (texts.get("whatif.head_recorded"), [float(day.old) for day in found.days]),
            (found.version, [float(day.new) for day in found.days]),
        )
        budget = found.max_alerts_per_day
        chart = figure(
            plot(
                [
                    Line(name=name, x=places, y=alerts, shade="dark" if i else "dotted")
                    for i, (name, alerts) in enumerate(sides)
                ],
                x=Axis(
                    label=texts.get(
                        "whatif.x_days", day=spoken_instant(first * 86_400_000_000)[:10]
                    )
                ),
                y=Axis(label=texts.get("whatif.y_alerts"), low=0.0),
                marks=[]
                if budget is None
                else [Mark(at=budget, label=texts.get("whatif.budget"), axis="y")],
                numerals=texts.numerals,
            ),
            caption=texts.get("whatif.days_chart"),
            source=source,
        )
    return section(texts.get("whatif.days"), paragraph(alerts_line(texts, found)), chart)


def _segments(found: WhatIf, texts: Texts) -> Html | None:
    if not found.segments:
        return None
    names = ("segment", "events", "changed", "alerts", "caught")
    rows = [part_cells(texts, part) for part in found.segments]
    return section(
        texts.get("diff.segments"),
        table([texts.get(f"whatif.head_{n}") for n in names], rows, numeric=[1, 2, 3, 4]),
    )
