"""Texts for the readers of rows: sound events of every type, odd ones, and damaged bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from baluarte.core.schema import Field, Schema

SCHEMA = Schema(
    fields=(
        Field(name="id", type="text", role="id"),
        Field(name="at", type="time", role="time"),
        Field(name="bytes", type="number", path="flow.out.bytes"),
        Field(name="packets", type="integer", path="flow.out.packets"),
        Field(name="z", type="number", path="flow.z"),
        Field(name="amount", type="number", required=True),
        Field(name="wide", type="number", allow_infinite=True),
        Field(name="count", type="integer"),
        Field(name="flag", type="boolean"),
        Field(name="service", type="category"),
        Field(name="note", type="text"),
        Field(name="from", type="ip", path="src"),
        Field(name="over", type="number", role="derived"),
        Field(name="junk", type="text", role="ignored"),
        Field(name="label", type="boolean", role="label", available="after"),
    )
)

_numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e4, 1e4).map(lambda x: round(x, 2)),
    st.sampled_from(
        [2**53, -(2**53), 2**53 + 1, 2.0**53, 2.0**53 + 2, -0.0, 0.0, 3.0, 3.4e38, 3.5e38, 1e308]
    ),
)
_texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["", "null", 'a":1', "x:y", "\\", "a\x00b", "é", "\ud800", "10.0.0.1", "::ffff:1.2.3.4",
         "2026-07-31T12:00:00Z", "2026-07-31", "Infinity", "true", "k" * 513]
    ),
)  # fmt: skip
_odd = st.one_of(
    _numbers,
    _texts,
    st.booleans(),
    st.none(),
    st.just([]),
    st.just({"a": 1}),
    st.just([[1, {"b": 2}]]),
)


_STRANGE = ["flow.z", "flow.out.bytes", "flow", "what", "over", "src"]
_TWICE = ['"amount":1,"amount"', '"id":1,"id"']
_DAMAGE = [b"", b'"', b"\\", b"{", b"}", b"[", b",", b":", b"1e999", b"NaN", b"\xff"]


def _plain(kind: str) -> st.SearchStrategy[Any]:
    return {
        "number": st.floats(-1e6, 1e6) | st.integers(-1000, 1000),
        "integer": st.integers(-1000, 1000) | st.just(4.0),
        "boolean": st.booleans(),
        "time": st.integers(0, 10**9) | st.just("2026-07-31T12:00:00Z"),
        "ip": st.just("10.1.2.3"),
    }.get(kind, st.text("abc:é ", min_size=1, max_size=5))


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        event = event.setdefault(key, {})
    event[path[-1]] = value


@st.composite
def plain_events(draw: st.DrawFn) -> dict[str, Any]:
    """Events without anything unusual."""
    event: dict[str, Any] = {"amount": draw(st.floats(0, 1e6))}
    for field in SCHEMA.fields:
        if field.role not in ("derived", "ignored") and draw(st.booleans()):
            _put(event, field.keys, draw(st.none() | _plain(field.type)))
    event["amount"] = draw(st.floats(0, 1e6))
    return event


@st.composite
def odd_events(draw: st.DrawFn) -> dict[str, Any]:
    """Events in which a value or a key may be anything."""
    event = draw(plain_events())
    given = [field for field in SCHEMA.fields if field.role != "derived"]
    for field in draw(st.lists(st.sampled_from(given), max_size=3)):
        target = event if draw(st.booleans()) else {}
        _put(target if len(field.keys) == 1 else dict(event), field.keys, draw(_odd))
        if len(field.keys) == 1:
            event.update(target)
    if draw(st.integers(0, 4)) == 0:
        event[
            draw(st.sampled_from(["flow.z", "flow.out.bytes", "flow", "what", "over", "src"]))
        ] = draw(_odd)
    return event


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON texts of such events, one or several, often damaged."""
    events = draw(st.lists(odd_events(), min_size=1, max_size=3))
    value: Any = events if draw(st.booleans()) else events[0]
    spaced = draw(st.sampled_from([None, (" , ", " : ")]))
    text = json.dumps(value, separators=spaced, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:  # a key given twice
        text = text.replace(
            '"amount"', draw(st.sampled_from(['"amount":1,"amount"', '"id":1,"id"']))
        )
    body = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from(
                [b"", b'"', b"\\", b"{", b"}", b"[", b",", b":", b"1e999", b"NaN", b"\xff"]
            )
        )
    return bytes(body)
