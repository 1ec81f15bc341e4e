"""One decision as the person concerned is told it: outcome, reasons, what would have changed it.

Nothing else of the detector leaves here: no score, no threshold, no hidden field.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from baluarte.apps.catalogue import Texts
from baluarte.apps.gate_words import outcome_name
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import spoken_instant
from baluarte.apps.otherwise import counterfactuals_of, deadline, otherwise_line
from baluarte.apps.page import page, paragraph, section, table
from baluarte.apps.reason_words import ReasonWords, reason_words
from baluarte.apps.scoring.answer import Reason
from baluarte.apps.story import Story, instant
from baluarte.core.reason_catalogue import mentions


class CustomerReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason as a customer reads it."""

    text: str
    code: str | None = None


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """All that a customer is told of one decision."""

    id: str
    decided_at: str
    outcome: str
    reasons: tuple[CustomerReason, ...]
    otherwise: str | None = None


def letter_of(story: Story, texts: Texts, *, counterfactual: bool, seconds: float) -> Letter:
    """The letter, in the texts' language; hidden fields neither speak nor move in it."""
    words = reason_words(story.bundle, texts.language)
    otherwise = None
    if counterfactual:
        hidden = words.catalogue.hidden
        found = counterfactuals_of(story.bundle).find(
            story.record.event, held=hidden, stop=deadline(seconds)
        )
        line = otherwise_line(texts, found)
        if not any(mentions(line, name) for name in hidden):
            otherwise = texts.get("customer.otherwise", change=line)
    return Letter(
        id=story.record.id,
        decided_at=instant(story.record.decided_at),
        outcome=outcome_name(texts, story.record.outcome),
        reasons=customer_reasons(story.reasons, words, band=story.record.band),
        otherwise=otherwise,
    )


def customer_reasons(
    reasons: Sequence[Reason], words: ReasonWords, *, band: int
) -> tuple[CustomerReason, ...]:
    """What spoke for the outcome, the strongest first, as many as the catalogue allows."""
    sign = 1 if band > 0 else -1
    told: list[CustomerReason] = []
    for reason in reasons:
        text = words.customer(reason.field, reason.value) if reason.score * sign > 0 else None
        if text is not None:
            told.append(CustomerReason(text=text, code=words.code(reason.field)))
    return tuple(told[: words.catalogue.most])


def letter_page(letter: Letter, story: Story, texts: Texts) -> Html:
    """The letter as a page."""
    at = spoken_instant(story.record.decided_at)
    coded = any(reason.code for reason in letter.reasons)
    heads = [texts.get("customer.code")] * coded + [texts.get("customer.reason")]
    rows = [[reason.code or ""] * coded + [reason.text] for reason in letter.reasons]
    nothing = paragraph(texts.get("customer.nothing"))
    parts = [section(texts.get("customer.because"), table(heads, rows) if rows else nothing)]
    if letter.otherwise is not None:
        text = paragraph(tag("b", letter.otherwise))
        parts.append(section(texts.get("counterfactual.title"), text))
    return page(
        texts.get("customer.title"),
        language=texts.language,
        eyebrow="",
        lead=texts.get("customer.decided", at=at, outcome=letter.outcome),
        sections=parts,
        footer=texts.get("customer.reference", id=letter.id),
    )
