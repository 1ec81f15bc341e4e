"""Everything that was decided about a person: for whoever has a right to know it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from baluarte import wiring
from baluarte.apps.catalogue import Texts
from baluarte.apps.customer import CustomerReason, customer_reasons
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.html import Html, tag
from baluarte.apps.page import facts, page, paragraph, section, table
from baluarte.apps.reason_words import ReasonWords, reason_words
from baluarte.apps.scoring.answer import reasons_of
from baluarte.apps.session import Session
from baluarte.apps.story import instant
from baluarte.apps.story_words import value_text
from baluarte.core.decision import ActRecord, DecisionRecord
from baluarte.core.envelope import Subject
from baluarte.core.event import Value
from baluarte.core.registry import LabelRow
from baluarte.errors import DataError
from baluarte.stages.erase import EVERY
from baluarte.stages.score import Scorer


class AboutDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about the person.

    Attributes:
        values: all that was recorded of the event, personal or not, with what was derived of
            earlier events.
        label: what was said of it later: true where it was an attack; null where nothing was.
    """

    id: str
    event_id: str
    event_at: str
    decided_at: str
    detector: str
    version: int
    role: str
    outcome: str
    values: dict[str, Value | None]
    reasons: tuple[CustomerReason, ...]
    label: bool | None = None


class AboutPerson(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as of an instant."""

    names: tuple[str, ...]
    at: str
    decisions: tuple[AboutDecision, ...]
    format: str = "baluarte-subject/1"


def about_person(session: Session, subjects: Sequence[Subject], texts: Texts) -> AboutPerson:
    """Every decision about a person, oldest first.

    Raises:
        DataError: nothing is kept about these names.
        TrustError: a record or a bundle does not hold.
    """
    keys = session.people.find(subjects)
    if not keys:
        raise DataError(
            "nothing is kept about this name",
            hint="It was never recorded, or was erased; names are written as in the events.",
        )
    records = sorted(_records(session, keys), key=lambda record: record.decided_at)
    tell = _Teller(session, texts)
    return AboutPerson(
        names=tuple(dict.fromkeys(subject.name for subject in subjects)),
        at=instant(session.clock.now_us()),
        decisions=tuple(tell.decision(record) for record in records),
    )


def record_export(session: Session, about: AboutPerson, *, reason: str) -> None:
    """Write the act, which names nobody."""
    session.record_act(
        ActRecord(
            at=session.clock.now_us(),
            act="export",
            actor=session.actor,
            detector=EVERY,
            reason=reason,
            details={"decisions": len(about.decisions)},
        )
    )


def _records(session: Session, keys: Sequence[str]) -> Iterator[DecisionRecord]:
    """The records that are sealed under these keys, found without reading into the others."""
    theirs = re.compile(rb'"personal":\{"key":"(?:' + "|".join(keys).encode() + rb')"')
    decode = msgspec.json.Decoder(DecisionRecord).decode

    def sealed() -> Iterator[DecisionRecord]:
        for shard in session.reader.shards():
            for data in session.reader.records(shard):
                if theirs.search(data):
                    yield decode(data)

    yield from session.unsealer.stream(sealed())


class _Teller:
    """Words for decisions; a version's own are made once."""

    def __init__(self, session: Session, texts: Texts) -> None:
        self._session, self._texts = session, texts
        self._made: dict[str, tuple[Scorer, ReasonWords]] = {}
        self._labels: dict[str, dict[str, LabelRow]] = {}

    def decision(self, record: DecisionRecord) -> AboutDecision:
        label = self._label(record)
        return AboutDecision(
            id=record.id,
            event_id=record.event_id,
            event_at=instant(record.event_at),
            decided_at=instant(record.decided_at),
            detector=record.detector,
            version=record.version,
            role=record.role,
            outcome=outcome_name(self._texts, record.outcome),
            values=dict(record.event),
            reasons=self._reasons(record),
            label=None if label is None else label.label == 1,
        )

    def _reasons(self, record: DecisionRecord) -> tuple[CustomerReason, ...]:
        scorer, words = self._of(record)
        phi = record.reasons
        if phi is None:
            decided = scorer.decide_records([record.event], reasons="all")
            phi = tuple(decided.phi[0].tolist())
        reasons = reasons_of(phi, record.event, scorer.fields, words)
        return customer_reasons(reasons, words, band=record.band)

    def _of(self, record: DecisionRecord) -> tuple[Scorer, ReasonWords]:
        made = self._made.get(record.bundle)
        if made is None:
            bundle = self._session.bundle(record.bundle, record.decided_at)
            scorer = Scorer(bundle, kernel=wiring.kernel_choice())
            made = scorer, reason_words(bundle, self._texts.language)
            self._made[record.bundle] = made
        return made

    def _label(self, record: DecisionRecord) -> LabelRow | None:
        if record.detector not in self._labels:
            self._labels[record.detector] = self._session.registry.labels(record.detector)
        return self._labels[record.detector].get(record.event_id)


def about_page(about: AboutPerson, texts: Texts) -> Html:
    """The same as a page."""
    outcomes: dict[str, int] = {}
    for one in about.decisions:
        outcomes[one.outcome] = outcomes.get(one.outcome, 0) + 1
    shown = [(name, texts.numerals.count(n)) for name, n in outcomes.items()]
    return page(
        texts.get("subject.title"),
        language=texts.language,
        eyebrow=", ".join(about.names),
        lead=texts.get("subject.lead", n=len(about.decisions), at=about.at),
        sections=[facts(shown), *(_part(one, texts) for one in about.decisions)],
        footer=texts.get("subject.footer"),
    )


def _part(one: AboutDecision, texts: Texts) -> Html:
    said = texts.get(
        "subject.decided",
        at=one.decided_at,
        outcome=one.outcome,
        version=f"{one.detector}@{one.version}",
        event=one.event_id,
    )
    later = None
    if one.label is not None:
        later = paragraph(texts.get("subject.attack" if one.label else "subject.no_attack"))
    because = [tag("li", reason.text) for reason in one.reasons]
    values = [(name, value_text(texts, value)) for name, value in one.values.items()]
    return section(
        f"{one.decided_at} · {one.outcome}",
        paragraph(said),
        tag("ul", *because) if because else None,
        later,
        table([texts.get("subject.field"), texts.get("subject.value")], values),
        tag("p", tag("code", one.id, class_="source")),
    )
