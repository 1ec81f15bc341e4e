"""The quick road of plain rows beside the rule: the same records, and never one that is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.apps.scoring.body import Form, Shape, parse_body, read_quickly
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.settings import Limits
from baluarte.core.event import Values
from baluarte.core.event_rows import RowReader
from baluarte.core.quick_rows import QuickReader, quick_reader
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from rows_case import SCHEMA, odd_events, plain_events, texts

LIMITS = Limits(max_rows=4)
RULE = RowReader(SCHEMA)


@pytest.fixture(scope="module")
def quick() -> QuickReader:
    reader = quick_reader(SCHEMA)
    if reader is None:
        pytest.skip("the compiled rows are not built")
    return reader


def by_rule(body: bytes, form: Form, rule: RowReader = RULE) -> tuple[list[Values], Shape] | None:
    """What the rule reads; None where it refuses."""
    try:
        rows, shape = parse_body(body, form, LIMITS)
        return rule.records(rows, where="$"), shape
    except (Refusal, DataError):
        return None


def _text(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


@settings(max_examples=300)
@given(texts())
def test_what_is_read_quickly_the_rule_reads_alike(quick: QuickReader, body: bytes) -> None:
    found = read_quickly(body, "json", quick, LIMITS)
    if found is not None:
        assert found == by_rule(body, "json")
        assert all(list(record) == sorted(record) for record in found[0])


@settings(max_examples=150)
@given(st.lists(texts(), max_size=3), st.sampled_from([b"\n", b"\n\n", b"\r\n", b" "]))
def test_lines_too(quick: QuickReader, lines: list[bytes], between: bytes) -> None:
    body = between.join(lines)
    found = read_quickly(body, "ndjson", quick, LIMITS)
    if found is not None:
        assert found == by_rule(body, "ndjson")


@settings(max_examples=300)
@given(st.lists(st.one_of(texts(), plain_events().map(_text)), max_size=4))
def test_texts_that_are_read_together_are_read_as_each_alone(
    quick: QuickReader, bodies: list[bytes]
) -> None:
    depth = LIMITS.max_depth
    assert quick.read_each(bodies, max_depth=depth) == [
        quick.read(body, max_depth=depth) for body in bodies
    ]


@settings(max_examples=150)
@given(st.lists(plain_events(), min_size=1, max_size=3), st.booleans())
def test_plain_events_are_read_quickly(
    quick: QuickReader, events: list[dict[str, Any]], lines: bool
) -> None:
    body = (
        b"\n".join(json.dumps(event).encode() for event in events)
        if lines
        else json.dumps(events).encode()
    )
    form: Form = "ndjson" if lines else "json"
    found = read_quickly(body, form, quick, LIMITS)
    assert found is not None
    assert found == by_rule(body, form)


@settings(max_examples=100)
@given(odd_events())
def test_where_unknown_keys_are_ignored_both_ignore_them(event: dict[str, Any]) -> None:
    schema = Schema(fields=SCHEMA.fields, unknown="ignore")
    reader = quick_reader(schema)
    body = json.dumps(event).encode("utf-8", "surrogatepass")
    found = read_quickly(body, "json", reader, LIMITS)
    if found is not None:
        assert found == by_rule(body, "json", RowReader(schema))


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount":1,"amount":2}',
        b'{"amount":1,"\\u0061mount":2}',
        b'{"amount":1,"flow":{"z":1,"z":2}}',
        b'{"amount":1,"flow":{"z":1},"flow":{"z":1}}',
        b'{"amount":1,"flow":null,"flow":{"z":1}}',
        b'{"amount":1,"note":"x:y","note":"z"}',
        b'{"amount":NaN}',
        b'{"amount":1e999}',
        b'{"amount":' + b"9" * 400 + b"}",
        b'{"amount":1,"what":2}',
        b'{"amount":1,"note":"\xff"}',
        b'{"amount":true}',
        b'{"id":"no amount"}',
        b"[]",
        b"",
        b'[{"amount":1},{"amount":1},{"amount":1},{"amount":1},{"amount":1}]',
        b'{"amount":1,"junk":' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
def test_what_the_rule_refuses_is_left_to_it(quick: QuickReader, body: bytes) -> None:
    assert by_rule(body, "json") is None
    assert read_quickly(body, "json", quick, LIMITS) is None


def test_a_path_whose_key_no_struct_can_name_is_read_by_the_rule() -> None:
    assert quick_reader(Schema(fields=(Field(name="a", type="number", path='a"b'),))) is None
