"""The page of a comparison: what changed between two versions, and what they decide otherwise."""

from __future__ import annotations

from baluarte import __version__
from baluarte.apps.catalogue import Texts
from baluarte.apps.charts.rows import bars
from baluarte.apps.charts.values import Axis, Bar
from baluarte.apps.compare_words import (
    changed_line,
    contract_line,
    data_line,
    feature_line,
    figure_cells,
    lead,
    move_line,
    moved_reason,
    mover_line,
    paired_line,
)
from baluarte.apps.html import Html, tag
from baluarte.apps.page import figure, listing, notice, page, paragraph, section, table
from baluarte.stages.compare import Comparison, SameEvents, Segment


def compare_page(found: Comparison, texts: Texts) -> Html:
    """The whole page."""
    source = f"baluarte diff {found.old} {found.new}"
    parts = [] if found.events is None else _events(found.events, texts, source)
    parts += [_figures(found, texts), *_made_of(found, texts)]
    return page(
        texts.get("diff.title", old=found.old, new=found.new),
        language=texts.language,
        eyebrow=texts.get("diff.eyebrow"),
        lead=lead(texts, found),
        sections=parts,
        footer=f"{source} · Baluarte {__version__}",
    )


def _events(events: SameEvents, texts: Texts, source: str) -> list[Html]:
    decided = section(
        texts.get("diff.events"),
        paragraph(changed_line(texts, events)),
        listing([move_line(texts, move) for move in events.moves]),
        *[notice("plain", paired_line(texts, pair)) for pair in events.paired],
        notice("unsure", texts.get("diff.absent", fields=", ".join(events.absent)))
        if events.absent
        else None,
    )
    fields = dict.fromkeys(segment.field for segment in events.segments)
    segments = [
        _segment_chart([s for s in events.segments if s.field == field], texts, source)
        for field in fields
    ]
    parts = [decided]
    if segments:
        parts.append(section(texts.get("diff.segments"), *segments))
    if events.movers:
        blocks: list[Html] = []
        for mover in events.movers:
            blocks.append(tag("h3", mover_line(texts, mover)))
            blocks.append(listing([moved_reason(texts, reason) for reason in mover.reasons]))
        parts.append(
            section(texts.get("diff.movers"), paragraph(texts.get("diff.movers_text")), *blocks)
        )
    return parts


def _segment_chart(segments: list[Segment], texts: Texts, source: str) -> Html:
    items = [
        Bar(
            label=texts.get("word.missing") if s.value is None else f"{s.value} ({s.n})",
            value=s.changed / s.n,
        )
        for s in segments
    ]
    chart = bars(
        items, x=Axis(label=texts.get("diff.x_changed"), percent=True), numerals=texts.numerals
    )
    return figure(
        chart,
        caption=texts.get("diff.segment_chart", field=segments[0].field),
        source=f"{source} --by {segments[0].field}",
    )


def _figures(found: Comparison, texts: Texts) -> Html:
    rows = [figure_cells(texts, pair.name, (pair.old, pair.new)) for pair in found.figures]
    heads = [texts.get("evidence.figure"), found.old, found.new]
    return section(
        texts.get("diff.figures"),
        paragraph(texts.get("diff.figures_text")),
        table(heads, rows, numeric=[1, 2]) if rows else None,
    )


def _made_of(found: Comparison, texts: Texts) -> list[Html]:
    groups = (
        ("contract", [contract_line(texts, change) for change in found.contract]),
        ("features", [feature_line(texts, change) for change in found.features]),
        ("data", [data_line(texts, change) for change in found.data]),
    )
    nothing = paragraph(texts.get("diff.nothing"))
    return [
        section(texts.get(f"diff.{name}"), listing(lines) if lines else nothing)
        for name, lines in groups
    ]
