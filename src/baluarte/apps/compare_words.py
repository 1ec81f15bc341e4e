"""What differs between two versions, in sentences: what the terminal and the page both say."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import amount, figure_name, outcome_name
from baluarte.apps.numerals import spoken_instant
from baluarte.core.contract_diff import ContractChange, Said
from baluarte.core.event import Value
from baluarte.core.evidence import Figure
from baluarte.stages.compare import (
    Comparison,
    FeatureChange,
    MovedReason,
    Mover,
    Paired,
    PartChange,
    SameEvents,
    Segment,
)

MOST_NAMED = 4  #: categories that are named


def lead(texts: Texts, found: Comparison) -> str:
    """What matters first."""
    key = "lead_events" if found.events else "lead"
    events = found.events
    return texts.get(
        f"diff.{key}",
        old=found.old,
        new=found.new,
        n_contract=len(found.contract),
        n_features=len(found.features),
        **({} if events is None else {"n": events.n, "changed": events.changed}),
    )


def contract_line(texts: Texts, change: ContractChange) -> str:
    """One difference of the contracts."""
    return texts.get(
        f"diff.contract_{change.kind}",
        path=change.path,
        before=_said(texts, change.before),
        after=_said(texts, change.after),
    )


def data_line(texts: Texts, change: PartChange) -> str:
    """One part of the data."""
    name = texts.get(f"part.{change.part}") if f"part.{change.part}" in texts else change.part
    rows = [texts.get("word.none") if n is None else texts.numerals.count(n) for n in change.rows]
    if change.same:
        return texts.get("diff.data_same", part=name, rows=rows[1])
    line = texts.get("diff.data_other", part=name, before=rows[0], after=rows[1])
    old, new = change.spans
    if old and new:
        said = [f"{spoken_instant(a)[:10]} – {spoken_instant(b)[:10]}" for a, b in (old, new)]
        line += texts.get("diff.data_span", before=said[0], after=said[1])
    return line


def feature_line(texts: Texts, change: FeatureChange) -> str:
    """One feature that is encoded otherwise."""
    if change.kind != "categories":
        return texts.get(f"diff.feature_{change.kind}", field=change.field)
    return texts.get(
        "diff.feature_categories",
        field=change.field,
        gained=len(change.gained),
        lost=len(change.lost),
        named=", ".join(
            [f"+{c}" for c in change.gained[:MOST_NAMED]]
            + [f"−{c}" for c in change.lost[:MOST_NAMED]]
        ),
    )


def figure_cells(
    texts: Texts, name: str, figures: tuple[Figure | None, Figure | None]
) -> list[str]:
    """Name, then value and interval of each version."""
    cells = [figure_name(texts, name)]
    for figure in figures:
        if figure is None:
            cells.append("–")
            continue
        said = amount(texts, name, figure.value)
        if figure.low is not None and figure.high is not None:
            low, high = (amount(texts, name, end) for end in (figure.low, figure.high))
            said += f" ({low} – {high})"
        cells.append(said)
    return cells


def changed_line(texts: Texts, events: SameEvents) -> str:
    """How many of the same events are decided otherwise."""
    return texts.get(
        "diff.changed",
        n=events.n,
        changed=events.changed,
        share=events.changed / events.n,
        low=events.low,
        high=events.high,
        confidence=events.confidence,
    )


def move_line(texts: Texts, move: tuple[str, str, int]) -> str:
    """One pair of outcomes and how often it occurs."""
    before, after, n = move
    said = [outcome_name(texts, outcome) for outcome in (before, after)]
    return texts.get("diff.move", before=said[0], after=said[1], n=n)


def segment_line(texts: Texts, segment: Segment) -> str:
    """One segment of the events."""
    return texts.get(
        "diff.segment",
        field=segment.field,
        value=_value(texts, segment.value),
        n=segment.n,
        changed=segment.changed,
        share=segment.changed / segment.n,
    )


def paired_line(texts: Texts, pair: Paired) -> str:
    """The exact comparison on the labelled events of one kind."""
    ends = (pair.difference, pair.low, pair.high)
    if pair.kind == "others":  # right is silent there: the alarms are the other way round
        ends = (-pair.difference, -pair.high, -pair.low)
    return texts.get(
        f"diff.paired_{pair.kind}",
        n=pair.n,
        old=pair.only_old,
        new=pair.only_new,
        difference=ends[0],
        low=ends[1],
        high=ends[2],
        p=pair.p_value,
    )


def mover_line(texts: Texts, mover: Mover) -> str:
    """One event whose points moved far."""
    before, after = (outcome_name(texts, outcome) for outcome in mover.outcomes)
    return texts.get(
        "diff.mover",
        event=mover.event_id,
        old=mover.points[0],
        new=mover.points[1],
        before=before,
        after=after,
    )


def moved_reason(texts: Texts, reason: MovedReason) -> str:
    """What one field says in each version, on the margin."""
    said = ["–" if x is None else texts.numerals.number(x, 3) for x in (reason.old, reason.new)]
    return f"{reason.field} {_value(texts, reason.value)}: {said[0]} → {said[1]}"


def _said(texts: Texts, value: Said) -> str:
    if isinstance(value, bool):
        return texts.get("word.yes" if value else "word.no")
    if isinstance(value, float):
        return texts.numerals.number(value, 6)
    return texts.get("word.none") if value is None or value == "" else str(value)


def _value(texts: Texts, value: Value | None) -> str:
    if value is None:
        return texts.get("word.missing")
    return texts.numerals.number(value, 6) if isinstance(value, float) else str(value)
