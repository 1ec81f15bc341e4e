"""From the bytes of a request to rows: JSON that hides nothing, within limits.

NaN, Infinity, numbers outside float64, duplicate keys and deep nesting are refused with their path;
what a field may hold is the schema's business (:mod:`baluarte.core.event`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from baluarte.apps.scoring.locate import explain
from baluarte.apps.scoring.problem import ProblemFault, Refusal, wrong_shape
from baluarte.apps.scoring.settings import Limits
from baluarte.core.event import Values
from baluarte.core.quick_rows import QuickReader

Row = dict[str, Any]  #: one JSON object, as it stands
Form = Literal["json", "ndjson", "arrow"]
Shape = Literal["one", "many", "lines", "arrow"]
ARROW_STREAM = "application/vnd.apache.arrow.stream"

_FORMS: dict[str, Form] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    ARROW_STREAM: "arrow",
}
_DECODE_JSON = msgspec.json.Decoder(dict[str, Any] | list[dict[str, Any]])
_DECODE_LINE = msgspec.json.Decoder(dict[str, Any])
_ANY_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')


def query_of(query: str, *, most: int) -> list[tuple[str, str]]:
    """The fields of a query.

    Raises:
        Refusal: 400 for more than ``most`` of them.
    """
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=most) if query else []
    except ValueError:
        raise Refusal("bad_query", f"expected at most {most} fields") from None


def form_of(content_type: str | None, *, arrow: bool = True) -> Form:
    """Which form the body has.

    Raises:
        Refusal: 415 for every type but JSON and NDJSON in UTF-8 and Arrow; nothing is guessed.
    """
    if content_type == "application/json":
        return "json"
    name, _, parameters = (content_type or "").partition(";")
    form = _FORMS.get(name.strip().lower())
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    arrow = arrow and _reads_arrow()
    if form == "arrow" and not arrow:
        form = None
    if form is None or charset not in ("", "charset=utf-8"):
        also = f", or {ARROW_STREAM}" if arrow else ""
        raise Refusal(
            "unsupported_media_type",
            f"expected application/json or application/x-ndjson, in UTF-8{also}",
        )
    return form


@lru_cache(maxsize=1)
def _reads_arrow() -> bool:
    """Whether pyarrow is installed; it is loaded when a first stream comes."""
    return find_spec("pyarrow") is not None


def parse_body(body: bytes, form: Form, limits: Limits) -> tuple[Sequence[Row], Shape]:
    """The rows of a body, and the shape that the answer takes.

    Raises:
        Refusal: 400 or 413, with the path of what is wrong.
    """
    if form == "ndjson":
        return _lines(body, limits), "lines"
    if form == "arrow":
        from baluarte.apps.scoring.protocols import arrow_stream  # noqa: PLC0415 - an extra's

        return arrow_stream.read(body, limits), "arrow"
    try:
        value = _DECODE_JSON.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _refused(body, error, limits, "$") from None
    if isinstance(value, dict):
        _check_keys(body, [value], limits, "$")
        return (value,), "one"
    check_n_rows(len(value), limits)
    _check_keys(body, value, limits, "$")
    return value, "many"


def read_quickly(
    body: bytes, form: Form, reader: QuickReader | None, limits: Limits
) -> tuple[list[Values], Shape] | None:
    """The records of a body without anything unusual; None: :func:`parse_body` must look."""
    if reader is None or form == "arrow":
        return None
    if form == "ndjson":
        lines = reader.read_lines(_split(body), max_depth=limits.max_depth)
        return None if lines is None or not 0 < len(lines) <= limits.max_rows else (lines, "lines")
    found = reader.read(body, max_depth=limits.max_depth)
    if found is None or not 0 < len(found[0]) <= limits.max_rows:
        return None
    return found[0], "many" if found[1] else "one"


def parse_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The one object that a body is; what it may hold is the protocol's business.

    Raises:
        Refusal: 400, with the path of what is wrong.
    """
    try:
        value = _DECODE_LINE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _refused(body, error, limits, "$") from None
    _check_keys(body, [value], limits, "$")
    return value


def check_objects(rows: list[Any], path: str, limits: Limits) -> list[Row]:
    """The rows, if each is an object and there are not too many.

    Raises:
        Refusal: one is not, or there are none or too many.
    """
    check_n_rows(len(rows), limits)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise wrong_shape(f"{path}[{i}]", "an object of the detector's fields", "another value")
    return rows


def _lines(body: bytes, limits: Limits) -> list[Row]:
    rows: list[Row] = []
    lines = _split(body)
    check_n_rows(len(lines), limits)
    for number, line in enumerate(lines):
        root = f"$[{number}]"
        try:
            row = _DECODE_LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise _refused(line, error, limits, root) from None
        _check_keys(line, [row], limits, root)
        rows.append(row)
    return rows


def _split(body: bytes) -> list[bytes]:
    lines = body.split(b"\n")
    if lines and not lines[-1].strip():
        lines.pop()
    return lines


def check_n_rows(n: int, limits: Limits) -> None:
    """Return if a request may have so many events.

    Raises:
        Refusal: none, or too many.
    """
    if n == 0:
        raise Refusal("wrong_shape", "expected at least one event, found none")
    if n > limits.max_rows:
        raise Refusal("too_many_rows", f"expected at most {limits.max_rows} events, found {n}")


def _refused(body: bytes, error: Exception, limits: Limits, root: str) -> Refusal:
    """Why the decoder refused a text: the walk's reason, or else the decoder's own."""
    refusal = explain(body, max_depth=limits.max_depth, root=root)
    if refusal is not None:
        return refusal
    if isinstance(error, RecursionError):
        return Refusal("too_deep", f"expected at most {limits.max_depth} levels")
    if isinstance(error, msgspec.ValidationError):
        fault = ProblemFault(
            path=root, expected="an object, or an array of objects", found="another JSON value"
        )
        return Refusal("wrong_shape", faults=[fault])
    return Refusal("malformed_json", "expected JSON in UTF-8 (RFC 8259)")


def _check_keys(body: bytes, rows: Sequence[Row], limits: Limits, root: str) -> None:
    """Refuse duplicate keys and deep nesting.

    Each key of the text has one colon outside of strings, and each key that was kept is counted in
    the decoded objects: equal counts mean that no key was given twice. Colons within strings only
    add to the first count, so in most bodies one count of bytes is enough.
    """
    flat = body.count(b"{") == len(rows) and body.count(b"[") <= 1
    try:
        n_kept = sum(map(len, rows)) if flat else _n_keys(rows, limits.max_depth)
    except _TooDeepError:
        raise explain(body, max_depth=limits.max_depth, root=root) or Refusal("too_deep") from None
    if body.count(b":") == n_kept:
        return
    if _ANY_STRING.sub(b"", body).count(b":") != n_kept:
        refusal = explain(body, max_depth=limits.max_depth, root=root)
        raise refusal or Refusal("duplicate_key", "an object names a key twice")


class _TooDeepError(Exception):
    """Objects or arrays nest beyond the limit."""


def _n_keys(value: Any, left: int) -> int:
    """Keys of all objects within a value."""
    if left < 0:
        raise _TooDeepError
    n, inner = 0, value
    if type(value) is dict:
        n, inner = len(value), value.values()
    for below in inner:
        kind = type(below)  # the decoder makes no others
        if kind is dict or kind is list:
            n += _n_keys(below, left - 1)
    return n
