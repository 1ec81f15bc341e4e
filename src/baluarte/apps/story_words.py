"""The story of a decision in sentences: what the terminal and the page both say."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.story import EventField, Facts, Story
from baluarte.core.event import Value
from baluarte.core.schema import FieldType


def about_line(texts: Texts, story: Facts) -> str:
    """Which event, when, decided by which version."""
    record = story.record
    return texts.get(
        "decision.about",
        id=record.id,
        event=record.event_id,
        at=spoken_instant(record.event_at),
        decided=spoken_instant(record.decided_at),
        version=f"{record.detector}@{record.version}",
    )


def outcome_line(texts: Texts, story: Facts) -> str:
    """The outcome with its score, points, probability and threshold."""
    record, bands = story.record, story.bundle.bands
    lowest = record.threshold is None
    return texts.get(
        "decision.outcome_lowest" if lowest else "decision.outcome_line",
        outcome=outcome_name(texts, record.outcome),
        score=record.score,
        points=record.points,
        probability=story.probability,
        threshold=bands.thresholds[0] if lowest else record.threshold,
    )


def value_text(texts: Texts, value: Value | None, kind: FieldType | None = None) -> str:
    """A value of the event as a person reads it.

    Args:
        kind: of its field, where that is known: a time is shown as one.
    """
    if value is None:
        return texts.get("word.missing")
    if kind == "time" and not isinstance(value, str):
        return spoken_instant(int(value))
    if isinstance(value, float):
        return texts.numerals.number(value, 6)
    return str(value)


def encoded_text(texts: Texts, field: EventField) -> str:
    """What was scored for a field, where that is another value; empty otherwise."""
    if field.encoded is None:
        return ""
    numbers = ["NaN" if x is None else texts.numerals.number(x, 6) for x in field.encoded]
    return f"→ {', '.join(numbers)}"


def sum_line(texts: Texts, story: Story) -> str:
    """Whether base and reasons add up to the score, with the numbers."""
    score = story.record.score
    if not story.adds_up:
        return texts.get("decision.sum_broken", found=story.total, score=score)
    n = len(story.reasons)
    return texts.get("decision.sum_exact", base=story.base, n=n, score=score)


def estimated_line(texts: Texts, story: Story) -> str | None:
    """How far the strongest reason may be off, where reasons are estimates."""
    if story.reason_errors is None or not story.reasons:
        return None
    strongest = story.reasons[0]
    error = round(story.reason_errors[strongest.field])
    return texts.get("decision.estimated", field=strongest.field, error=error)


def computed_line(texts: Texts, story: Story) -> str:
    """Why the record holds no reasons, and where these come from."""
    deferred = story.record.reasons_deferred is True
    return texts.get("decision.deferred" if deferred else "decision.computed_now")


def version_lines(texts: Texts, story: Facts) -> list[str]:
    """Who sealed, approved and promoted the version that decided, and when."""
    record, lines = story.record, []
    if story.version is not None:
        lines.append(
            texts.get(
                "decision.sealed_by",
                version=f"{record.detector}@{record.version}",
                digest=f"{record.bundle[:19]}…",
                at=spoken_instant(story.version.sealed_at),
                actor=story.version.sealed_by,
            )
        )
    for actor, _, reason in story.approvals:
        lines.append(texts.get("decision.approved_by", actor=actor, reason=_reason(texts, reason)))
    promotion = story.promotion
    if promotion is None:
        return [*lines, texts.get("decision.not_promoted")]
    said = _reason(texts, promotion.reason)
    if not story.approvals:
        lines.append(texts.get("decision.self_approved", actor=promotion.actor, reason=said))
    at = spoken_instant(promotion.at)
    lines.append(texts.get("decision.promoted_by", at=at, actor=promotion.actor, reason=said))
    return lines


def replay_line(texts: Texts, story: Story) -> str:
    """What came of computing it again."""
    difference = story.replayed.difference
    if difference is None:
        return texts.get("decision.identical")
    return texts.get("decision.differs", difference=story.difference_text)


def proof_line(texts: Texts, story: Facts) -> str:
    """Where the record stands in the ledger, and whether a signed checkpoint covers it."""
    place, head = story.place, story.checkpoint
    if head is None:
        return texts.get("decision.not_covered", index=place.index, shard=place.tag)
    return texts.get("decision.covered", index=place.index, shard=place.tag, size=head.size)


def signed_count(texts: Texts, units: int) -> str:
    """Score units with their sign."""
    return ("+" if units > 0 else "") + texts.numerals.count(units)


def _reason(texts: Texts, reason: str) -> str:
    return reason or texts.get("decision.no_reason")
