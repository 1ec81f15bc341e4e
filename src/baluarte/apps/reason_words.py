"""A reason as a sentence: the field, its value, and what was usual when the detector was sealed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import UnsetType

from baluarte.apps.catalogue import Texts
from baluarte.apps.numerals import Language, spoken_instant
from baluarte.core.bundle import SealedBundle
from baluarte.core.encode import MAX_CATEGORIES, Encoder, FieldEncoding
from baluarte.core.event import Value
from baluarte.core.raw_value import raw_value
from baluarte.core.reason_catalogue import ReasonCatalogue, fill, mentions
from baluarte.core.schema import FieldType
from baluarte.core.spread import Spread

MOST_USUAL = 3  #: categories that are named as the usual ones
RARE = 0.05  #: share below which a category is not called usual
USUAL = (0.05, 0.95)  #: shares of the baseline between which a number is usual
_HOLE = "\0"  # in the place of a value: no name has one


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


class ReasonWords:
    """Words for the reasons of one sealed detector: its own catalogue first, else the product's."""

    def __init__(
        self, bundle: SealedBundle, language: Language, hidden: frozenset[str] = frozenset()
    ) -> None:
        self._hidden = hidden
        self._texts = Texts(language)
        self._known = _known(bundle)
        self._around: dict[str, tuple[str, str]] = {}  # a number's value, in the text of its field
        sealed = bundle.contract.reasons
        self.catalogue = ReasonCatalogue() if isinstance(sealed, UnsetType) else sealed
        self._special = hidden | frozenset(self.catalogue.fields)

    def __call__(self, field: str, value: Value | None) -> str:
        """The reason in words, for whoever works with the detector."""
        if field in self._hidden:
            return self._texts.get("reason.sealed", field=field)
        own = self._own(field, value, customer=False)
        return self._plain(field, value) if own is None else own

    def told(self, field: str, value: Value | None) -> tuple[Value | None, str, str | None]:
        """What an answer tells: :meth:`shown`, the reason in words, :meth:`code`."""
        around = self._around.get(field)
        if around is None or value is None or field in self._special:
            return self.shown(field, value), self(field, value), self.code(field)
        return value, f"{around[0]}{self._texts.written(value)}{around[1]}", None

    def shown(self, field: str, value: Value | None) -> Value | None:
        """The value as an answer tells it; None where it came sealed."""
        return None if field in self._hidden else value

    def code(self, field: str) -> str | None:
        """The catalogue's code of a field; None where it has none."""
        reason = self.catalogue.fields.get(field)
        return reason.code or None if reason else None

    def customer(self, field: str, value: Value | None) -> str | None:
        """The reason in words for the person concerned; None where it must not be shown."""
        hidden = self.catalogue.hidden
        if field in hidden:
            return None
        own = self._own(field, value, customer=True)
        said = self._plain(field, value) if own is None else own
        # A default text names its field, and a field's name may hold another's.
        return None if any(mentions(said, name) for name in hidden) else said

    def _own(self, field: str, value: Value | None, *, customer: bool) -> str | None:
        reason = self.catalogue.fields.get(field)
        if reason is None:
            return None
        said = (reason.customer if customer else reason.internal).get(self._texts.language)
        if said is None:
            return None
        return fill(said, value=self._value(value, field), usual=self._usual_text(field))

    def _value(self, value: Value | None, field: str) -> str:
        if value is None:
            return self._texts.get("word.missing")
        known = self._known.get(field)
        if known is not None and known.type == "time" and not isinstance(value, str):
            return spoken_instant(int(value))
        numerals = self._texts.numerals
        return numerals.number(value, 6) if isinstance(value, float) else str(value)

    def _usual_text(self, field: str) -> str:
        """What is usual of a field: a range, or the commonest categories."""
        known, numerals = self._known.get(field), self._texts.numerals
        if known is not None and known.span is not None:
            low, high = (numerals.number(end) for end in known.span)
            return low if low == high else f"{low}–{high}"
        if known is not None and known.shares:
            ranked = sorted(known.shares.items(), key=lambda item: (-item[1], item[0]))
            return ", ".join(name for name, share in ranked[:MOST_USUAL] if share >= RARE)
        return self._texts.get("reason.unknown")

    def _plain(self, field: str, value: Value | None) -> str:
        texts = self._texts
        if value is None:
            return texts.get("reason.missing", field=field)
        of = self._known.get(field)
        if of is not None and of.type == "category":
            if value not in of.categories and len(of.categories) < MAX_CATEGORIES:
                return texts.get("reason.unseen", field=field, value=value)
            if value in of.shares:
                share = of.shares[str(value)]
                return texts.get("reason.category", field=field, value=value, share=share)
        elif of is not None and of.span is not None:
            around = self._around.get(field)
            if around is None:
                around = self._around[field] = self._around_number(field, of.span)
            before, after = around
            return f"{before}{texts.written(value)}{after}"
        shown = self._value(value, field) if of is not None and of.type == "time" else value
        return texts.get("reason.plain", field=field, value=shown)

    def _around_number(self, field: str, span: tuple[float, float]) -> tuple[str, str]:
        """What stands before and after a number in its reason: only the number changes."""
        low, high = span
        said = (
            self._texts.get("reason.number_one", field=field, value=_HOLE, usual=low)
            if low == high
            else self._texts.get("reason.number", field=field, value=_HOLE, low=low, high=high)
        )
        before, _, after = said.partition(_HOLE)
        return before, after


def reason_words(
    bundle: SealedBundle, language: Language, hidden: frozenset[str] = frozenset()
) -> ReasonWords:
    """Words for the reasons of one sealed detector.

    Args:
        hidden: fields whose values are not told.
    """
    return ReasonWords(bundle, language, hidden)


def _known(bundle: SealedBundle) -> dict[str, _Known]:
    spans, shares = _usual(bundle.drift_json) if bundle.spread is None else _sealed(bundle.spread)
    out = {}
    for table in bundle.encoder.tables.fields:
        named = {
            table.categories[int(code)]: share
            for code, share in shares.get(table.field, {}).items()
            if code < len(table.categories)
        }
        out[table.field] = _Known(
            type=table.type,
            span=_span(bundle.encoder, table, spans.get(table.field)),
            shares=named,
            categories=frozenset(table.categories),
        )
    return out


def _span(
    encoder: Encoder, table: FieldEncoding, span: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The usual span in the field's own values, before any cleaning."""
    if span is None or table.type not in ("number", "integer") or not table.steps:
        return span if table.type in ("number", "integer") else None
    at = next(i for i, info in enumerate(encoder.columns) if info.field == table.field)

    def encode(value: float) -> float:
        return encoder.encode_row({table.field: value})[at]

    low, high = (
        raw_value(encode, end, start=0.0, up=encode(0.0) < end, whole=table.type == "integer")
        for end in span
    )
    return None if low is None or high is None else (low, high)


def _sealed(
    spread: Spread,
) -> tuple[dict[str, tuple[float, float]], dict[str, dict[float, float]]]:
    """Spans of numeric columns and shares of codes, as they were sealed."""
    spans = {one.column: one.usual for one in spread.columns if one.usual is not None}
    shares = {
        one.column: {float(code): share for code, share in enumerate(one.shares)}
        for one in spread.columns
        if one.shares
    }
    return spans, shares


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
