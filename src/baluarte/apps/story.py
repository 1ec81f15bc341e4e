"""The whole story of one decision: its record, what the record rests on, and both checked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.reason_words import reason_words
from baluarte.apps.scoring.answer import Reason, reasons_of
from baluarte.apps.session import Session
from baluarte.core.bundle import SealedBundle
from baluarte.core.checkpoint import LEDGER_ORIGIN, Checkpoint
from baluarte.core.decision import DecisionRecord
from baluarte.core.event import Value
from baluarte.core.ids import RecordId, parse_id
from baluarte.core.merkle import leaf_hash, verify_inclusion
from baluarte.core.registry import Promotion, Version
from baluarte.stages.notes import verify_note
from baluarte.stages.replay import Replayed, replay
from baluarte.stages.score import Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class EventField:
    """One feature of the event, and what was scored where that is another value."""

    name: str
    value: Value | None
    encoded: tuple[float | None, ...] | None  #: its columns; None where they are the value itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of any decision, even if the person was erased."""

    record: DecisionRecord
    bundle: SealedBundle
    probability: float
    version: Version | None  #: as the registry knows it
    approvals: tuple[tuple[str, int, str], ...]  #: (actor, at, reason)
    promotion: Promotion | None  #: by which the version came to decide, if it did
    place: RecordId
    checkpoint: Checkpoint | None  #: the first signed one that covers the record, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(Facts):
    """One decision and everything that it rests on."""

    event: tuple[EventField, ...]  #: the features in the contract's order
    base: int
    reasons: tuple[Reason, ...]  #: the fields that moved the score, the strongest first
    computed_now: bool  #: the record had no reasons, so the version that decided computed them
    #: of each field's reason, in score units; None where all are exact
    reason_errors: dict[str, float] | None
    replayed: Replayed

    @property
    def total(self) -> int:
        """Base and reasons together."""
        return self.base + sum(reason.score for reason in self.reasons)

    @property
    def adds_up(self) -> bool:
        """Whether base and reasons are the score, exactly."""
        return self.total == self.record.score

    @property
    def difference_text(self) -> str | None:
        """What came out otherwise when it was computed again, as both values."""
        d = self.replayed.difference
        if d is None:
            return None
        of = f" ({d.field})" if d.field else ""
        return f"{d.component}{of}: {d.recorded} → {d.computed}"


def facts_of(session: Session, record: DecisionRecord) -> Facts:
    """Collect what is known of a decision without its values; its inclusion is checked.

    Raises:
        DataError: the bundle that decided is not in the store.
        TrustError: it does not hold, or a checkpoint over the record does not.
    """
    bundle = session.bundle(record.bundle, record.decided_at)
    known = session.registry.versions(record.detector)
    place = parse_id(record.id)
    return Facts(
        record=record,
        bundle=bundle,
        probability=bundle.bands.decide_one(record.score)[2],
        version=next((v for v in known if v.digest == record.bundle), None),
        approvals=tuple(session.registry.approvals(record.detector, record.version)),
        promotion=_promotion(session.registry.promotions(record.detector), record),
        place=place,
        checkpoint=covering_checkpoint(session, place),
    )


def story_of(session: Session, record: DecisionRecord, texts: Texts) -> Story:
    """Collect the story and check what can be checked: sum, replay, inclusion.

    Raises:
        DataError: the bundle that decided is not in the store.
        TrustError: it does not hold, or a checkpoint over the record does not.
    """
    facts = facts_of(session, record)
    bundle = facts.bundle
    base, phi = record.base, record.reasons
    computed_now = base is None or phi is None
    scorer = Scorer(bundle, kernel=wiring.kernel_choice())
    if base is None or phi is None:
        decided = scorer.decide_records([record.event], reasons="all")
        base, phi = decided.base, tuple(decided.phi[0].tolist())
    (replayed,) = replay([record], session.bundle, kernel=wiring.kernel_choice())
    return Story(
        **{name: getattr(facts, name) for name in Facts.__slots__},
        event=_event(record, bundle),
        base=base,
        reasons=reasons_of(
            phi,
            record.event,
            [field.name for field in bundle.contract.events.features],
            reason_words(bundle, texts.language),
        ),
        computed_now=computed_now,
        reason_errors=scorer.reason_errors(record.event),
        replayed=replayed,
    )


def covering_checkpoint(session: Session, place: RecordId) -> Checkpoint | None:
    """The first signed checkpoint over a record, its inclusion checked; None where none covers it.

    Raises:
        TrustError: a checkpoint is not signed by a trusted key, or does not include the record.
    """
    origin = f"{LEDGER_ORIGIN}/{place.tag}"
    notes = session.reader.notes(place.tag)
    heads = [verify_note(note, session.verifier, origin=origin) for note in notes]
    covering = [head for head in heads if head.size > place.index]
    if not covering:
        return None
    head = min(covering, key=lambda head: head.size)
    leaf = leaf_hash(session.reader.record(place.tag, place.index))
    path = session.reader.tree(place.tag).inclusion(place.index, head.size)
    verify_inclusion(leaf, place.index, head.size, path, head.root)
    return head


def instant(at_us: int) -> str:
    """Microseconds of UTC as RFC 3339, to the second.

    >>> instant(1_600_000_000_000_000)
    '2020-09-13T12:26:40Z'
    """
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def document(facts: Facts) -> dict[str, object]:
    """The story as a JSON document; its keys never translate.

    What is personal is only there where the person was not erased.
    """
    record, promotion, head = facts.record, facts.promotion, facts.checkpoint
    return {
        "id": record.id,
        "event_id": record.event_id,
        "event_at": instant(record.event_at),
        "decided_at": instant(record.decided_at),
        "detector": record.detector,
        "version": record.version,
        "bundle": record.bundle,
        "role": record.role,
        "outcome": record.outcome,
        "score": record.score,
        "points": record.points,
        "probability": facts.probability,
        "threshold": record.threshold,
        "erased": record.is_sealed,
        **(_told(facts) if isinstance(facts, Story) else {}),
        "evidence": msgspec.to_builtins(facts.bundle.evidence),
        "sealed": None
        if facts.version is None
        else {"by": facts.version.sealed_by, "at": instant(facts.version.sealed_at)},
        "approvals": [
            {"actor": actor, "at": instant(at), "reason": reason}
            for actor, at, reason in facts.approvals
        ],
        "promoted": None
        if promotion is None
        else {"by": promotion.actor, "at": instant(promotion.at), "reason": promotion.reason},
        "ledger": {
            "shard": facts.place.tag,
            "index": facts.place.index,
            "checkpoint": None if head is None else {"size": head.size, "root": head.root.hex()},
        },
    }


def _told(story: Story) -> dict[str, object]:
    record = story.record
    columns = [column.name for column in story.bundle.encoder.columns]
    return {
        "event": record.event,
        "features": dict(zip(columns, record.features, strict=False)),
        "base": story.base,
        "reasons": msgspec.to_builtins(story.reasons),
        "reason_errors": story.reason_errors,
        "reasons_computed_now": story.computed_now,
        "reasons_deferred": record.reasons_deferred is True,
        "adds_up": story.adds_up,
        "replay": {
            "identical": story.replayed.difference is None,
            "difference": story.difference_text,
        },
    }


def _event(record: DecisionRecord, bundle: SealedBundle) -> tuple[EventField, ...]:
    features: dict[str, list[float | None]] = {}
    for column, feature in zip(bundle.encoder.columns, record.features, strict=False):
        features.setdefault(column.field, []).append(feature)
    return tuple(
        EventField(
            name=field.name,
            value=record.event.get(field.name),
            encoded=_where_different(record.event.get(field.name), features.get(field.name, [])),
        )
        for field in bundle.contract.events.features
    )


def _where_different(
    value: Value | None, encoded: Sequence[float | None]
) -> tuple[float | None, ...] | None:
    scored = encoded[0] if len(encoded) == 1 else None
    if value is None:
        same = len(encoded) == 1 and scored is None
    else:
        same = scored is not None and scored == value
    return None if same else tuple(encoded)


def _promotion(promotions: Sequence[Promotion], record: DecisionRecord) -> Promotion | None:
    """The last one before the decision by which its version came to decide."""
    mine = [p for p in promotions if p.version == record.version and p.at <= record.decided_at]
    return mine[-1] if mine else None
