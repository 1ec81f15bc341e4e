"""Encoder: canonical events to the (n, d) float64 matrix that learners and programs see.

Columns of a feature field, by its type; a missing value is NaN in all of them:

========  =======================================================================================
number    the value; beyond float32's range (a field may allow infinities) its nearest bound
integer   likewise
boolean   0 or 1
category  a code: the place in the table of categories, by falling frequency in the fit rows, then
          by text; one further code for all categories that are not in the table
time      ``hour`` of the day in [0, 24), UTC, and ``weekday``, 0 is Monday
text      ``length`` in characters, shares of ASCII ``digits`` and ``capitals`` and of ``others``
          (neither ASCII letter nor digit), and the number of ``distinct`` characters
ip        ``private`` (0 or 1), ``v6`` (0 or 1) and ``prefix``, the first 16 bits as a number
========  =======================================================================================

A field's cleaning steps (:mod:`baluarte.core.cleaning`) come first: the table is of what they give.

Only operations that IEEE 754 rounds exactly are used, and no table of a Python release (its Unicode
version, its list of private networks), so the same event gives the same bits everywhere.
"""

from __future__ import annotations

import ipaddress
import math
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from baluarte.core.cleaning import (
    clean_column,
    fit_steps,
    number_cleaner,
    step_faults,
    text_cleaner,
)
from baluarte.core.event import Column, Events, Value, missing
from baluarte.core.event_rows import TEXTUAL
from baluarte.core.quick_rows import NATIVE
from baluarte.core.schema import FLOAT32_MAX, Cleaning, FieldType, Schema
from baluarte.errors import Fault, TrustError

MAX_CATEGORIES = 1_000  #: categories of a field that get a code of their own

_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_THURSDAY = 3  # 1970-01-01 was one; 0 is Monday

_PARTS: dict[FieldType, tuple[str, ...]] = {
    "time": ("hour", "weekday"),
    "text": ("length", "digits", "capitals", "others", "distinct"),
    "ip": ("private", "v6", "prefix"),
}
_DIGITS = string.digits.encode()
_CAPITALS = string.ascii_uppercase.encode()
_LETTERS_AND_DIGITS = (string.ascii_letters + string.digits).encode()

# RFC 1918, RFC 1122 (loopback), RFC 3927, RFC 4291 (loopback, link-local), RFC 4193.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
        "::1/128", "fe80::/10", "fc00::/7",
    )
)  # fmt: skip


class FieldEncoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one field is encoded; ``categories`` is in the order of the codes."""

    field: str
    type: FieldType
    categories: tuple[str, ...] = ()
    clean: tuple[Cleaning, ...] | UnsetType = UNSET  #: with what the steps learnt

    @property
    def steps(self) -> tuple[Cleaning, ...]:
        """The cleaning steps, in their order."""
        return () if isinstance(self.clean, UnsetType) else self.clean


class EncoderTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that an encoder is, as a bundle keeps it."""

    fields: tuple[FieldEncoding, ...]
    format: Literal["baluarte-encoder/1"] = "baluarte-encoder/1"


class ColumnInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the matrix: the schema field it comes from, and what its numbers are."""

    name: str
    field: str
    categorical: bool
    n_codes: int = 0  #: of a categorical column, the one for unseen categories included


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes events of one schema: a table of columns at once, or one record directly."""

    tables: EncoderTables
    columns: tuple[ColumnInfo, ...] = field(init=False)
    _codes: dict[str, dict[Value | None, float]] = field(init=False, repr=False, compare=False)
    _row: tuple[tuple[str, RowPart | None], ...] = field(init=False, repr=False, compare=False)
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _parts: tuple[object, ...] = field(init=False, repr=False, compare=False)  #: as _rows.c has it
    _widths: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = {f.field: _code_table(f) for f in self.tables.fields if f.type == "category"}
        columns = tuple(info for f in self.tables.fields for info in _column_infos(f))
        row = tuple((f.field, _row_part(f, codes.get(f.field, {}))) for f in self.tables.fields)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "_codes", codes)
        object.__setattr__(self, "_row", row)
        parts = tuple(
            (codes[f.field], float(len(f.categories)))
            if f.type == "category" and not f.steps
            else part
            for f, (_, part) in zip(self.tables.fields, row, strict=True)
        )
        object.__setattr__(self, "_names", tuple(name for name, _ in row))
        object.__setattr__(self, "_parts", parts)
        widths = bytes(len(_PARTS.get(f.type, ("",))) for f in self.tables.fields)
        object.__setattr__(self, "_widths", widths)

    @property
    def parts(self) -> tuple[tuple[str, object, int], ...]:
        """Of each field its name, how compiled code makes its columns, and how many they are.

        None is a plain number, a pair the codes of a category and the code of an unseen one;
        anything else is called.
        """
        return tuple(zip(self._names, self._parts, self._widths, strict=True))

    def encode(self, events: Events) -> NDArray[np.float64]:
        """(n, d) float64; a feature without a column is missing in every row."""
        X = np.full((events.n, len(self.columns)), math.nan)
        j = 0
        for f in self.tables.fields:
            width = len(_PARTS.get(f.type, ("",)))
            column = events.columns.get(f.field)
            if column is None and f.steps:  # a step may say what stands for a missing value
                column = _absent(events.n, f.type)
            if column is not None:
                X[:, j : j + width] = self._encode_column(f, column)
            j += width
        return X

    def encode_rows(self, rows: Sequence[Mapping[str, Value | None]]) -> NDArray[np.float64]:
        """(n, d) the same values as :meth:`encode`, from records."""
        d = len(self.columns)
        if NATIVE is None or not d:
            encoded = [self.encode_row(row) for row in rows]
            return np.array(encoded, dtype=np.float64).reshape(len(rows), d)
        X = np.empty((len(rows), d))
        NATIVE.encode(self._names, self._parts, self._widths, list(rows), X)
        return X

    def encode_row(self, values: Mapping[str, Value | None]) -> list[float]:
        """(d,) the same values as :meth:`encode`, from one record."""
        out: list[float] = []
        get = values.get
        for name, part in self._row:
            value = get(name)
            if part is not None:
                part(value, out)
            elif value is None:
                out.append(math.nan)
            elif type(value) is int:
                out.append(float(value))  # a record's integers are within 2**53
            else:
                # A record writes infinities as texts that float() reads.
                out.append(min(max(float(value), -FLOAT32_MAX), FLOAT32_MAX))
        return out

    def _encode_column(self, f: FieldEncoding, column: Column) -> NDArray[np.float64]:
        n = len(column)
        if f.steps:
            column = clean_column(f.steps, column)
        if f.type == "category":
            get, unseen = self._codes[f.field].get, float(len(f.categories))
            coded = [get(value, unseen) for value in column.tolist()]
            return np.array(coded, dtype=np.float64).reshape(n, 1)
        if f.type == "time":
            return _time_parts(column)
        if f.type in ("text", "ip"):
            measure = _text_parts if f.type == "text" else _ip_parts
            known = {text: measure(text) for text in set(column.tolist())}
            return np.array([known[text] for text in column.tolist()]).reshape(
                n, len(_PARTS[f.type])
            )
        return np.clip(column, -FLOAT32_MAX, FLOAT32_MAX).reshape(n, 1)


RowPart = Callable[[Value | None, list[float]], None]  #: appends a field's columns to a row


def fit_encoder(schema: Schema, events: Events, *, max_categories: int = MAX_CATEGORIES) -> Encoder:
    """An encoder for the schema's features, its categories counted in these events."""
    fields = []
    for feature in schema.features:
        categories: tuple[str, ...] = ()
        column = events.columns.get(feature.name)
        clean: tuple[Cleaning, ...] | UnsetType = UNSET
        if feature.steps:
            if column is None:
                column = _absent(events.n, feature.type)
            clean = fit_steps(feature.steps, column)
            column = clean_column(clean, column)
        if feature.type == "category" and column is not None:
            counts = Counter(column.tolist())
            counts.pop(None, None)
            ranked = sorted(counts, key=lambda text: (-counts[text], text))
            categories = tuple(ranked[:max_categories])
        fields.append(
            FieldEncoding(field=feature.name, type=feature.type, categories=categories, clean=clean)
        )
    return Encoder(EncoderTables(fields=tuple(fields)))


def _absent(n: int, kind: FieldType) -> Column:
    return missing(n, np.dtype(object if kind in TEXTUAL else np.float64))


def encoder_to_json(encoder: Encoder) -> bytes:
    """The sealed bytes of an encoder: JSON with sorted keys."""
    return msgspec.json.encode(encoder.tables, order="sorted")


def encoder_from_json(data: bytes, *, where: str = "encoder.json") -> Encoder:
    """An encoder from its sealed bytes.

    Raises:
        TrustError: the bytes are no encoder, or not the ones that this release writes.
    """
    try:
        tables = msgspec.json.decode(data, type=EncoderTables)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise TrustError(f"expected an encoder, found: {error}", where=where) from error
    faults = [Fault(message, where) for message in _table_faults(tables)]
    if msgspec.json.encode(tables, order="sorted") != data:
        faults.append(Fault("expected canonical JSON, found another spelling of it", where))
    if faults:
        raise TrustError.of(faults)
    return Encoder(tables)


def _table_faults(tables: EncoderTables) -> list[str]:
    names = Counter(f.field for f in tables.fields)
    out = [
        f"expected each field once, found {name!r} {count} times"
        for name, count in names.items()
        if count > 1
    ]
    for f in tables.fields:
        out += [f"{fault}: {f.field!r}" for fault in step_faults(f.steps, f.type)]
        if f.categories and f.type != "category":
            out.append(f"expected no categories for {f.field!r} of type {f.type}")
        if len(f.categories) > MAX_CATEGORIES:
            out.append(
                f"expected at most {MAX_CATEGORIES} categories for {f.field!r}, "
                f"found {len(f.categories)}"
            )
        if len(set(f.categories)) != len(f.categories) or "" in f.categories:
            out.append(f"expected distinct categories with text for {f.field!r}")
    return out


def _column_infos(f: FieldEncoding) -> list[ColumnInfo]:
    if f.type == "category":
        n_codes = len(f.categories) + 1
        return [ColumnInfo(name=f.field, field=f.field, categorical=True, n_codes=n_codes)]
    if f.type in _PARTS:
        return [
            ColumnInfo(name=f"{f.field}.{part}", field=f.field, categorical=False)
            for part in _PARTS[f.type]
        ]
    return [ColumnInfo(name=f.field, field=f.field, categorical=False)]


def _code_table(f: FieldEncoding) -> dict[Value | None, float]:
    table: dict[Value | None, float] = {text: float(i) for i, text in enumerate(f.categories)}
    table[None] = math.nan
    return table


def _row_part(f: FieldEncoding, codes: dict[Value | None, float]) -> RowPart | None:
    if f.type == "category":
        return _category_row(f, codes)
    if f.type == "time":
        return _time_row
    if f.type in ("text", "ip"):
        return _measured_row(f, _text_parts if f.type == "text" else _ip_parts)
    return _number_row(f.steps) if f.steps else None


def _category_row(f: FieldEncoding, codes: dict[Value | None, float]) -> RowPart:
    get, unseen = codes.get, float(len(f.categories))
    clean: Callable[[Any], str | None] = text_cleaner(f.steps)

    def category(value: Value | None, out: list[float]) -> None:
        out.append(get(value, unseen))

    def cleaned(value: Value | None, out: list[float]) -> None:
        out.append(get(clean(value), unseen))

    return cleaned if f.steps else category


def _measured_row(f: FieldEncoding, measure: Callable[[Any], list[float]]) -> RowPart:
    clean: Callable[[Any], str | None] = text_cleaner(f.steps)

    def measured(value: Value | None, out: list[float]) -> None:
        out.extend(measure(value))

    def cleaned(value: Value | None, out: list[float]) -> None:
        out.extend(measure(clean(value)))

    return cleaned if f.steps else measured


def _number_row(steps: tuple[Cleaning, ...]) -> RowPart:
    clean = number_cleaner(steps)

    def number(value: Value | None, out: list[float]) -> None:
        x = clean(math.nan if value is None else float(value))
        out.append(min(max(x, -FLOAT32_MAX), FLOAT32_MAX))

    return number


def _time_row(value: Value | None, out: list[float]) -> None:
    if value is None:
        out.extend((math.nan, math.nan))
    else:
        day, within = divmod(int(value), _DAY_US)
        out.extend((within / _HOUR_US, float((day + _THURSDAY) % 7)))


def _time_parts(column: NDArray[np.float64]) -> NDArray[np.float64]:
    absent = np.isnan(column)
    day, within = np.divmod(np.where(absent, 0.0, column).astype(np.int64), _DAY_US)
    parts = np.stack([within / _HOUR_US, ((day + _THURSDAY) % 7).astype(np.float64)], axis=1)
    parts[absent] = math.nan
    return parts


def _text_parts(text: str | None) -> list[float]:
    if text is None:
        return [math.nan] * 5
    raw, n = text.encode(), len(text)
    n_digits = len(raw) - len(raw.translate(None, _DIGITS))
    n_capitals = len(raw) - len(raw.translate(None, _CAPITALS))
    n_plain = len(raw) - len(raw.translate(None, _LETTERS_AND_DIGITS))
    shares = [n_digits / n, n_capitals / n, (n - n_plain) / n]
    return [float(n), *shares, float(len(set(text)))]


def _ip_parts(text: str | None) -> list[float]:
    if text is None:
        return [math.nan] * 3
    address = ipaddress.ip_address(text)
    private = any(address in network for network in _PRIVATE if network.version == address.version)
    prefix = int(address) >> (address.max_prefixlen - 16)
    return [float(private), float(address.version == 6), float(prefix)]
