"""One value of one field, brought to its record form: every rule of the schema's types.

Each converter takes what JSON, Python or NumPy hold and returns the record form (see
:mod:`baluarte.core.event`), or None where that means missing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from baluarte.core.event import MAX_EXACT_INTEGER, Value
from baluarte.core.schema import FLOAT32_MAX, Field, FieldType

MAX_TEXT_CHARS = 16_384  #: of a text field
MAX_CATEGORY_CHARS = 512  #: of a category
MIN_YEAR, MAX_YEAR = 1684, 2255  #: within 2**53 microseconds of 1970
UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}  #: microseconds in a unit of time

Convert = Callable[[Any], Value | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# RFC 3339 section 5.6, with the date alone (full-date), a missing zone and an offset without its
# colon (ISO 8601's basic form, which Suricata writes) also read.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):?\d\d)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = {"inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}
_TRUTHS = {"true": 1, "false": 0, "1": 1, "0": 0}


class ValueRefusedError(ValueError):
    """One value breaks a rule.

    Args:
        expected: what the rule asks for and what was found.
        hint: what to do.
    """

    def __init__(self, expected: str, hint: str | None = None) -> None:
        super().__init__(expected)
        self.hint = hint


def describe(value: object) -> str:
    """A value in words, short enough for a message."""
    if isinstance(value, str):
        return f"the text {value if len(value) <= 40 else value[:40] + '…'!r}"
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, int | float):
        return repr(value)
    words = {type(None): "nothing", dict: "an object", list: "a list", tuple: "a list"}
    return words.get(type(value), f"a {type(value).__name__}")


def converter(field: Field, *, nan: bool = False) -> Convert:
    """How values of a field become their record form.

    Args:
        nan: a float NaN is missing; otherwise it is refused.
    """
    kind: FieldType = field.type
    convert: Convert
    if kind == "number":
        convert = _number(field)
    elif kind == "integer":
        convert = _integer(field)
    elif kind == "time":
        convert = _time(UNITS_US[field.unit])
    else:
        convert = {
            "boolean": _boolean,
            "category": _category,
            "text": _text,
            "ip": _ip,
        }[kind]

    def careful(value: Any) -> Value | None:
        if isinstance(value, np.datetime64):
            return _moment(value, kind)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and math.isnan(value):
            if nan:
                return None
            raise ValueRefusedError(
                f"expected {_article(kind)}, found NaN", "Leave a missing value out, or send null."
            )
        return convert(value) if value is not None else None

    return careful


def cell_converter(field: Field) -> Convert:
    """How the cells of a text file, such as CSV, become their record form; empty is missing."""
    convert = converter(field)
    kind = field.type

    def number(cell: str) -> Value | None:
        text = cell.strip()
        if not text:
            return None
        if _NUMBER.fullmatch(text):
            if math.isinf(float(text)):
                raise ValueRefusedError(
                    f"expected {_article(kind)}, found {describe(cell)}, too large"
                )
            return convert(float(text))
        if field.allow_infinite and text.lower().removeprefix("+") in _INFINITE:
            return convert(_INFINITE[text.lower().removeprefix("+")])
        raise ValueRefusedError(f"expected {_article(kind)}, found {describe(cell)}", _cure(text))

    def boolean(cell: str) -> Value | None:
        text = cell.strip().lower()
        if text and text not in _TRUTHS:
            raise ValueRefusedError(f"expected true, false, 1 or 0, found {describe(cell)}")
        return _TRUTHS[text] if text else None

    def time(cell: str) -> Value | None:
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            return convert(float(text) if set(text) & set(".eE") else int(text))
        return convert(text)

    if kind in ("number", "integer"):
        return number
    return {"boolean": boolean, "time": time}.get(kind, convert)


def _cure(text: str) -> str | None:
    if re.fullmatch(r"[+-]?[\d.]*,\d+", text, re.ASCII):
        return "Write decimals with a point and no thousands separator."
    if text.lower() in ("nan", "na", "n/a", "null", "none", "-", "?"):
        return "Leave the cell empty where the value is missing."
    return None


def _article(kind: FieldType) -> str:
    return {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "time": "a time",
        "category": "a category",
        "text": "text",
        "ip": "an IP address",
    }[kind]


def _finite(value: object, kind: FieldType) -> float:
    """The correctly rounded float64 of an int or float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueRefusedError(f"expected {_article(kind)}, found {describe(value)}")
    try:
        return float(value) + 0.0  # + 0.0: negative zero becomes zero
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _number(field: Field) -> Convert:
    unbounded = field.allow_infinite

    def convert(value: Any) -> Value | None:
        number = _finite(value, "number")
        if abs(number) <= MAX_EXACT_INTEGER:
            return int(number) if number.is_integer() else number
        if abs(number) > FLOAT32_MAX:
            if not unbounded or (isinstance(value, int) and math.isinf(number)):
                raise ValueRefusedError(
                    f"expected a number within ±{FLOAT32_MAX:.4g}, found {describe(value)}"
                )
            if math.isinf(number):
                return "Infinity" if number > 0 else "-Infinity"
        return number

    return convert


def _integer(field: Field) -> Convert:
    convert_number = _number(field)

    def convert(value: Any) -> Value | None:
        number = _finite(value, "integer")
        if abs(number) <= MAX_EXACT_INTEGER and not number.is_integer():
            raise ValueRefusedError(f"expected a whole number, found {describe(value)}")
        return convert_number(value)

    return convert


def _boolean(value: Any) -> Value | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float) and value in (0, 1):
        return int(value)
    raise ValueRefusedError(f"expected true or false, found {describe(value)}")


def check_text(text: str, max_chars: int) -> str:
    """The text itself, if it can be kept and shown anywhere.

    Raises:
        ValueRefusedError: too long, a NUL character or a lone surrogate.
    """
    if len(text) > max_chars:
        raise ValueRefusedError(f"expected at most {max_chars} characters, found {len(text)}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueRefusedError(
                f"expected text, found a lone surrogate at character {error.start}"
            ) from None
    if "\0" in text:
        raise ValueRefusedError(f"expected text, found a NUL at character {text.index(chr(0))}")
    return text


def _category(value: Any) -> Value | None:
    if isinstance(value, str):
        return check_text(str(value), MAX_CATEGORY_CHARS) or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if isinstance(value, int) and value.bit_length() > 1024:
            raise ValueRefusedError(f"expected a category, found {describe(value)}")
        if math.isinf(value):
            raise ValueRefusedError("expected a category, found an infinite number")
        return str(int(value)) if value == int(value) else repr(float(value))
    raise ValueRefusedError(f"expected a category, found {describe(value)}")


def _text(value: Any) -> Value | None:
    if isinstance(value, str):
        return check_text(str(value), MAX_TEXT_CHARS) or None
    raise ValueRefusedError(f"expected text, found {describe(value)}")


def _ip(value: Any) -> Value | None:
    if not isinstance(value, str):
        raise ValueRefusedError(f"expected an IP address as text, found {describe(value)}")
    if not value:
        return None
    try:
        address = ipaddress.ip_address(value) if "%" not in value else None
    except ValueError:
        address = None
    if address is None:
        raise ValueRefusedError(
            f"expected an IPv4 or IPv6 address, found {describe(value)}",
            "Leave out ports, prefixes and zones.",
        )
    # Python releases print mapped addresses differently; the IPv4 form is the same everywhere.
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped or address)


def _time(unit_us: int) -> Convert:
    def convert(value: Any) -> Value | None:
        if isinstance(value, str):
            return time_us(value) if value else None
        if isinstance(value, datetime):
            return _microseconds(value)
        if isinstance(value, date):
            return _microseconds(datetime(value.year, value.month, value.day, tzinfo=UTC))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueRefusedError(f"expected a time, found {describe(value)}")
        if isinstance(value, float) and math.isfinite(value):
            # One rounding, half to even, as NumPy's rint; the product itself is IEEE's.
            value = round(value * unit_us) if abs(value * unit_us) < 2**62 else 2**62
        elif isinstance(value, int):
            value = value * unit_us
        return _within(value)

    return convert


def time_us(text: str) -> int:
    """Microseconds of UTC of an RFC 3339 time; one without a zone is UTC, a date is midnight.

    Digits after the microsecond are cut off.

    Raises:
        ValueRefusedError: it is no such time.
    """
    moment: datetime | None = None
    if _TIME.fullmatch(text):
        with contextlib.suppress(ValueError):
            moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
    if moment is None:
        raise ValueRefusedError(
            f"expected a time such as 2026-07-31T12:00:00Z, found {describe(text)}",
            "Write RFC 3339, or seconds since 1970 (the field's unit says otherwise).",
        )
    return _microseconds(moment)


def _moment(value: np.datetime64, kind: FieldType) -> int | None:
    """A NumPy time in microseconds, rounded down; None for NaT."""
    if np.isnat(value):
        return None
    if kind != "time":
        raise ValueRefusedError(f"expected {_article(kind)}, found a time")
    year = int(value.astype("datetime64[Y]").astype(np.int64)) + 1970
    near = MIN_YEAR <= year <= MAX_YEAR  # further out, microseconds may overflow
    return _within(int(value.astype("datetime64[us]").astype(np.int64)) if near else math.inf)


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _within((aware - _EPOCH) // _MICROSECOND)


def _within(microseconds: float) -> int:
    if not abs(microseconds) <= MAX_EXACT_INTEGER:
        raise ValueRefusedError(
            f"expected a time between the years {MIN_YEAR} and {MAX_YEAR}, found one outside",
            "Check the field's unit: s, ms or us.",
        )
    return int(microseconds)
