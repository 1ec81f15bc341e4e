"""A reason as a sentence: the field, its value, and what was usual when the detector was sealed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from baluarte.apps.catalogue import Texts
from baluarte.apps.numerals import Language
from baluarte.core.bundle import SealedBundle
from baluarte.core.encode import MAX_CATEGORIES
from baluarte.core.event import Value
from baluarte.core.schema import FieldType

SayReason = Callable[[str, Value | None], str]  #: field and its canonical value to a sentence

USUAL = (0.05, 0.95)  #: shares of the baseline between which a number is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of one field from the sealed baseline."""

    type: FieldType
    span: tuple[float, float] | None = None  #: of a number: where most of the baseline is
    shares: dict[str, float]  #: of a category: its share of the baseline
    categories: frozenset[str]  #: that the encoder knows


class _Channel(msgspec.Struct):
    """The part of an armed drift channel that is read here."""

    name: str
    categorical: bool
    cuts: tuple[float, ...] = ()
    codes: tuple[float, ...] = ()


class _Baseline(msgspec.Struct):
    channels: tuple[_Channel, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def reason_words(bundle: SealedBundle, language: Language) -> SayReason:
    """Words for the reasons of one sealed detector."""
    texts = Texts(language)
    known = _known(bundle)

    def say(field: str, value: Value | None) -> str:
        if value is None:
            return texts.get("reason.missing", field=field)
        of = known.get(field)
        if of is not None and of.type == "category":
            if value not in of.categories and len(of.categories) < MAX_CATEGORIES:
                return texts.get("reason.unseen", field=field, value=value)
            if value in of.shares:
                share = of.shares[str(value)]
                return texts.get("reason.category", field=field, value=value, share=share)
        elif of is not None and of.span is not None:
            low, high = of.span
            if low == high:
                return texts.get("reason.number_one", field=field, value=value, usual=low)
            return texts.get("reason.number", field=field, value=value, low=low, high=high)
        return texts.get("reason.plain", field=field, value=value)

    return say


def _known(bundle: SealedBundle) -> dict[str, _Known]:
    spans, shares = _usual(bundle.drift_json)
    out = {}
    for table in bundle.encoder.tables.fields:
        named = {
            table.categories[int(code)]: share
            for code, share in shares.get(table.field, {}).items()
            if code < len(table.categories)
        }
        out[table.field] = _Known(
            type=table.type,
            span=spans.get(table.field) if table.type in ("number", "integer") else None,
            shares=named,
            categories=frozenset(table.categories),
        )
    return out


def _usual(
    drift_json: bytes | None,
) -> tuple[dict[str, tuple[float, float]], dict[str, dict[float, float]]]:
    """Spans of numeric columns and shares of codes; nothing where no monitor was armed."""
    spans: dict[str, tuple[float, float]] = {}
    shares: dict[str, dict[float, float]] = {}
    try:
        baseline = msgspec.json.decode(drift_json or b"", type=_Baseline)
    except msgspec.DecodeError:
        return spans, shares
    rates = [(low + high) / 2 for low, high in zip(baseline.low, baseline.high, strict=True)]
    start = 0
    for channel in baseline.channels:
        asked = channel.codes if channel.categorical else channel.cuts
        found = dict(zip(asked, rates[start : start + len(asked)], strict=True))
        start += len(asked) + (3 if channel.categorical else 1)  # other, unseen, missing
        if channel.categorical:
            shares[channel.name] = found
        elif found and max(found.values()) >= USUAL[1]:
            low, high = (min(c for c, r in found.items() if r >= share) for share in USUAL)
            spans[channel.name] = (low, high)
    return spans, shares
