"""baluarte.core.json_object: JSON that hides nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.event_value import ValueRefusedError
from baluarte.core.json_object import decode_object

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**25), 10**25)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('ab:"\\', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text('k:"\\é', max_size=4), values, max_size=5))
def test_every_object_reads_as_what_it_is(value: dict[str, object]) -> None:
    assert decode_object(json.dumps(value).encode()) == value
    assert decode_object(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("text", ['{"a":":\\":","b" : "\\" :"}', '{"a" :{":":1},"b":":"}'])
def test_quotes_and_colons_inside_strings_are_no_second_key(text: str) -> None:
    assert decode_object(text.encode()) == json.loads(text, strict=False)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25))
def test_every_decimal_is_read_correctly_rounded(x: float, digits: int) -> None:
    for text in (repr(x), f"{x:.{digits}e}"):
        if math.isfinite(float(text)):
            found = decode_object(f'{{"x":{text}}}'.encode())["x"]
            assert float(found) == float(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a":1,"a":2}', "'a' more than once"),
        ('{"a":{"b":1,"b":{}}}', "'b' more than once"),
        ('{"a":[{"b":1,"b":2}]}', "'b' more than once"),
        ('{"a":"x:y","a":"z"}', "'a' more than once"),
        ('{"a":1,"\\u0061":2}', "'a' more than once"),
        ('{"a":1,"a" :2}', "'a' more than once"),
        ('{"a":1,"a"\t:":"}', "'a' more than once"),
        ('{"a":1,"b":":","a" \t\r\n:2}', "'a' more than once"),
        ('{"a":1,"b":{"c":2,"c" : ":"}}', "'c' more than once"),
        ('{"a":NaN}', "found NaN"),
        ('{"a":-Infinity}', "found -Infinity"),
        ('{"a":1e999}', "numbers within float64, found 1e999"),
        ('{"a":' + "9" * 5000 + "}", "one of 5000 digits"),
        ("[1]", "another value or no JSON"),
        ("5", "another value or no JSON"),
        ("", "another value or no JSON"),
        ('{"a":1', "truncated"),
        ('{"a":1}{', "malformed"),
        ("{'a':1}", "malformed"),
        ('{"a":01}', "malformed"),
        ('{"a":"\\ud800"}', "expected a JSON object"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_parsers_let_through_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueRefusedError) as caught:
        decode_object(text.encode())
    assert says in str(caught.value)


def test_bytes_that_are_no_utf8_are_named() -> None:
    with pytest.raises(ValueRefusedError, match="0xe9"):
        decode_object(b'{"a":"caf\xe9"}')
