"""baluarte.core.plain_rows: what compiled code takes is what the rule reads, to the bit."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rows_case import SCHEMA, plain_events, texts

from baluarte.core.encode import Encoder, EncoderTables, FieldEncoding
from baluarte.core.event import Values
from baluarte.core.event_rows import RowReader
from baluarte.core.json_object import decode_object
from baluarte.core.plain_rows import PlainReader, plain_reader
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

GIVEN = msgspec.structs.replace(
    SCHEMA, fields=tuple(field for field in SCHEMA.fields if field.role != "derived")
)
SORTED = msgspec.json.Encoder(order="sorted")
DEPTH = 16


def encoder_of(schema: Schema) -> Encoder:
    return Encoder(
        EncoderTables(
            fields=tuple(
                FieldEncoding(
                    field=field.name,
                    type=field.type,
                    categories=("http", "ssh", "a", "é") if field.type == "category" else (),
                )
                for field in schema.fields
                if field.is_feature
            )
        )
    )


def reader_of(schema: Schema) -> PlainReader:
    reader = plain_reader(schema, encoder_of(schema))
    if reader is None:
        pytest.skip("the compiled rows are not built")
    return reader


@pytest.fixture(scope="module")
def plain() -> PlainReader:
    return reader_of(GIVEN)


def by_rule(body: bytes, schema: Schema = GIVEN) -> Values | None:
    """The record of a text that is one object; None where the rule refuses it."""
    try:
        return RowReader(schema).records([decode_object(body)], where="$")[0]
    except (DataError, ValueError):
        return None


def check(reader: PlainReader, bodies: list[bytes], schema: Schema = GIVEN) -> list[int]:
    """Hold all that was taken to the rule; which were."""
    found, encoder = reader.read(bodies, max_depth=DEPTH), encoder_of(schema)
    assert found.which == sorted(set(found.which))
    records = []
    for place, event, own_id, at in zip(
        found.which, found.events, found.ids, found.times, strict=True
    ):
        record = by_rule(bodies[place], schema)
        assert record is not None, bodies[place]
        assert event == SORTED.encode(record)
        assert own_id == record.get("id")
        assert type(own_id) is type(record.get("id"))
        assert at == record.get("at")
        records.append(record)
    X = encoder.encode_rows(records)
    assert found.features.tobytes() == X.tobytes()
    assert found.cells == SORTED.encode(X.ravel().tolist())
    return found.which


@settings(max_examples=150)
@given(st.lists(st.one_of(texts(), plain_events().map(lambda e: json.dumps(e).encode()))))
def test_what_is_taken_the_rule_reads_alike(plain: PlainReader, bodies: list[bytes]) -> None:
    check(plain, bodies)


@st.composite
def numerals(draw: st.DrawFn) -> str:
    """Numbers in any spelling that JSON has, and some that it hasn't."""
    whole = draw(st.sampled_from(["0", "1", "7", "00", "", "9007199254740992", "9007199254740993"])
                 | st.integers(0, 10**17).map(str))  # fmt: skip
    places = draw(st.just("") | st.from_regex(r"\.[0-9]{0,24}", fullmatch=True))
    power = draw(st.just("") | st.from_regex(r"[eE][+-]?[0-9]{0,3}", fullmatch=True))
    return draw(st.sampled_from(["", "-", "+"])) + whole + places + power


@settings(max_examples=300)
@given(numerals())
@example("-0")
@example("-0.0")
@example("0.00009999")
@example("0.0001")
@example("123456789012345.678")
@example("4503599627370496.5")
@example("0.30000000000000004")
@example("1.50")
@example("100.000")
@example("5e-324")
@example("999999999999999.9")
def test_numbers_of_any_spelling_are_the_rules(plain: PlainReader, numeral: str) -> None:
    for field in ("amount", "count", "service", "flag", "at"):
        check(plain, [b'{"amount":1,"%b":%b}' % (field.encode(), numeral.encode())]
              if field != "amount" else [b'{"amount":%b}' % numeral.encode()])  # fmt: skip


@settings(max_examples=150)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_as_python_writes_it_is_kept(plain: PlainReader, x: float) -> None:
    taken = check(plain, [json.dumps({"amount": x}).encode()])
    assert bool(taken) == (abs(x) <= 2**53)


def test_ordinary_events_are_taken(plain: PlainReader) -> None:
    event = {
        "id": "e-1", "at": "2026-07-31T12:00:00Z", "amount": 12.5, "count": 3, "flag": True,
        "service": "ssh", "note": "quite so", "src": "10.0.0.1", "junk": None, "label": None,
        "flow": {"out": {"bytes": 17, "packets": 2}, "z": -0.25}, "wide": 1e-3,
    }  # fmt: skip
    draw = random.Random(3)
    for spaces in ((",", ":"), (", ", ": "), (" ,\r\n", "\t: ")):
        for _ in range(20):
            keys = list(event)
            draw.shuffle(keys)
            told = {key: event[key] for key in keys if draw.random() < 0.8 or key == "amount"}
            body = json.dumps(told, separators=spaces).encode()
            assert check(plain, [body, b" " + body + b"\n"]) == [0, 1]


def test_names_and_texts_of_many_scripts_are_taken() -> None:
    schema = Schema(
        fields=(
            Field(name="año", type="number"),
            Field(name="straße", type="category", path="ort.straße"),
            Field(name="名", type="text", role="id"),
        )
    )
    body = json.dumps(
        {"ort": {"straße": "é"}, "名": "事件", "año": 1.25}, ensure_ascii=False
    ).encode()
    reader = reader_of(schema)
    found = reader.read([body], max_depth=DEPTH)
    assert found.events == ['{"año":1.25,"straße":"é","名":"事件"}'.encode()]
    assert found.ids == ["事件"]
    assert found.cells == b"[1.25,3.0]"
    assert reader.read([json.dumps({"año": 1}).encode()], max_depth=DEPTH).which == []  # \\u00f1


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"{}", b"[]", b"null", b'{"amount":1}x', b'{"amount":1},',
        b'{"amount":1,}',
        b'{"amount":1}{"amount":1}', b'{"amount":1 "count":2}', b'{"amount":}',
        b'{"amount"}',
        b'{"amount":1,"amount":1}', b'{"amount":1,"what":1}', b'{"amount":null}', b'{"amount":"1"}',
        b'{"amount":1,"flow":{},"flow":{}}', b'{"amount":1,"flow":{"z":1,"z":2}}',
        b'{"amount":1,"flow":1}', b'{"amount":1,"flow":[]}', b'{"amount":1,"flow":{"out":{"z":1}}}',
        b'{"amount":1,"note":"a\\n"}', b'{"amount":1,"note":"\x01"}', b'{"amount":1,"note":"\xff"}',
        b'{"amount":1,"note":"\xed\xa0\x80"}', b'{"amount":01}', b'{"amount":1.}', b'{"amount":.5}',
        b'{"amount":-}', b'{"amount":1e}', b'{"amount":NaN}', b'{"amount":Infinity}',
        b'{"amount":1e999}', b'{"amount":1,"count":1.5}', b'{"amount":9007199254740993}',
        b'{"amount":1,"src":"10.0.0"}', b'{"amount":1,"at":"yesterday"}', b'{"amount":tru}',
        b'{"amount":1,"service":[1]}', b'{"amount":1,"junk":{"a":1}}', b'\xef\xbb\xbf{"amount":1}',
        b'{"amount":1,"note":"' + b"x" * 16_385 + b'"}', b'{"amount":1,"no',
        b'{"amount":1,"note":"',
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left(plain: PlainReader, body: bytes) -> None:
    whole = b'{"amount":2,"id":"whole"}'
    assert check(plain, [whole, body, whole]) == [0, 2]


def test_texts_deeper_than_allowed_are_left(plain: PlainReader) -> None:
    body = b'{"amount":1,"flow":{"out":{"bytes":1}}}'
    assert plain.read([body], max_depth=4).which == [0]
    assert plain.read([body], max_depth=3).which == []


def test_without_columns_of_its_own_a_schema_has_no_plain_rows() -> None:
    assert plain_reader(SCHEMA, encoder_of(SCHEMA)) is None  # one is derived from windows
    bare = Schema(fields=(Field(name="id", type="text", role="id"),))
    assert plain_reader(bare, encoder_of(bare)) is None


def test_what_a_converter_refuses_is_left_and_any_other_fault_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def converter(field: Field) -> Any:
        def convert(value: Any) -> Any:
            raise (ValueError if value is True else ZeroDivisionError)

        return convert

    monkeypatch.setattr("baluarte.core.plain_rows.converter", converter)
    reader = reader_of(GIVEN)
    refused, plainly = b'{"amount":1,"flag":true}', b'{"amount":1}'
    assert reader.read([refused, plainly], max_depth=DEPTH).which == [1]
    with pytest.raises(ZeroDivisionError):
        reader.read([plainly, b'{"amount":1,"flag":false}'], max_depth=DEPTH)
    with pytest.raises(TypeError):
        reader.read(["no bytes"], max_depth=DEPTH)  # type: ignore[list-item]
    assert reader.read([plainly], max_depth=DEPTH).which == [0]  # nothing is left of the fault
