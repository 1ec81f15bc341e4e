"""baluarte.apps.scoring.body: what JSON hides is refused, with its path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.apps.scoring.body import form_of, parse_body
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.settings import Limits

LIMITS = Limits(max_rows=5, max_depth=6)


def refusal(body: bytes, form: str = "json") -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        parse_body(body, form, LIMITS)  # type: ignore[arg-type]
    faults = caught.value.problem.faults
    return caught.value.code, faults[0].path if faults else ""


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b'{"a":NaN}', "malformed_json", "$.a"),
        (b'[{"a":1},{"b":{"c":-Infinity}}]', "malformed_json", "$[1].b.c"),
        (b'{"a":1e999}', "number_out_of_range", "$.a"),
        (b'{"a":[1,-1e400]}', "number_out_of_range", "$.a[1]"),
        (b'{"a":' + b"9" * 400_000 + b"}", "number_out_of_range", "$.a"),
        (b'{"a":1,"a":2}', "duplicate_key", "$.a"),
        (b'{"a":{"b":1,"c":2,"b":3}}', "duplicate_key", "$.a.b"),
        (b'{"a":"x:y","b":1,"\\u0062":2}', "duplicate_key", "$.b"),
        (b'[{"a":1},{"q":1,"q":1}]', "duplicate_key", "$[1].q"),
        (b'{"a":[{"b":1,"b":2}]}', "duplicate_key", "$.a[0].b"),
        (b'{"k":' * 7 + b"1" + b"}" * 7, "too_deep", "$.k.k.k.k.k.k"),
        (b'{"k":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep", "$.k[0][0][0][0][0]"),
        (b'{"a":"\xff"}', "malformed_json", "$.a"),
        (b"\xef\xbb\xbf{}", "malformed_json", "$"),
        (b'{"a":1}x', "malformed_json", "$"),
        (b'{"a":1,}', "malformed_json", "$.a"),
        (b'{"a" 1}', "malformed_json", "$.a"),
        (b'[{"a":1} {"b":2}]', "malformed_json", "$[0]"),
        (b'{"a":01}', "malformed_json", "$.a"),
        (b"{'a':1}", "malformed_json", "$."),
        (b'{"a":"\x01"}', "malformed_json", "$.a"),
        (b'{"a":tru}', "malformed_json", "$.a"),
        (b'{"a":', "malformed_json", "$.a"),
        (b"", "malformed_json", "$"),
        (b"3", "wrong_shape", "$"),
        (b"[1]", "wrong_shape", "$"),
        (b"[]", "wrong_shape", ""),
        (b"[" + b"{}," * 5 + b"{}]", "too_many_rows", ""),
    ],
)
def test_what_json_hides_is_refused_with_its_path(body: bytes, code: str, path: str) -> None:
    assert refusal(body) == (code, path)


def test_a_line_of_ndjson_is_named_by_its_number() -> None:
    assert refusal(b'{"a":1}\n{"a":NaN}\n', "ndjson") == ("malformed_json", "$[1].a")
    assert refusal(b'{"a":1}\n\n{"a":1}', "ndjson") == ("malformed_json", "$[1]")
    assert refusal(b'{"a":1,"a":1}', "ndjson") == ("duplicate_key", "$[0].a")


def test_the_answer_takes_the_shape_of_the_request() -> None:
    assert parse_body(b'{"a":1}', "json", LIMITS) == (({"a": 1},), "one")
    assert parse_body(b'[{"a":1}]', "json", LIMITS) == ([{"a": 1}], "many")
    assert parse_body(b'{"a":1}\r\n{}\n', "ndjson", LIMITS) == ([{"a": 1}, {}], "lines")


def test_colons_and_braces_in_strings_are_no_keys() -> None:
    body = rb'{"x:y":"a:{[\"::\\","ip":"::1","t":"12:00:00"}'
    assert parse_body(body, "json", LIMITS)[0] == (json.loads(body),)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(row=st.dictionaries(st.text(max_size=5), VALUES, max_size=5), ascii_only=st.booleans())
def test_an_honest_object_is_read_as_it_stands(row: dict[str, object], ascii_only: bool) -> None:
    body = json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return
    limits = Limits(max_depth=64)
    assert parse_body(body, "json", limits)[0] == (row,)


@given(
    row=st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=5),
    data=st.data(),
)
def test_a_key_given_twice_is_refused_wherever_it_stands(
    row: dict[str, object], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(row)))
    again = f"{json.dumps(key)}:{data.draw(st.sampled_from(['1', 'null', '{}', '[]']))}"
    body = (json.dumps(row)[:-1] + "," + again + "}").encode()
    with pytest.raises(Refusal) as caught:
        parse_body(body, "json", Limits(max_depth=64))
    assert caught.value.code == "duplicate_key"


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        rows, _ = parse_body(body, "json", LIMITS)
    except Refusal as refused:
        assert refused.status in (400, 413)  # noqa: PT017 - what else it may be is the test
    else:
        assert rows == json.loads(body) or list(rows) == [json.loads(body)]


@pytest.mark.parametrize(
    "body", [b'{"a":1,"\\ud800""b":3}', b'{"\\udc00":1,"\\udc00":2}', b'{"\\ud800":[}']
)
def test_half_a_character_in_a_path_is_told_in_utf_8(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_body(body, "json", Limits())
    assert b"\xef\xbf\xbd" in caught.value.body()


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "application/x-pickle", "application/vnd.bentoml+pickle",
     "application/json; charset=utf-16", "multipart/form-data; boundary=x", "*/*"],
)  # fmt: skip
def test_an_unknown_content_type_is_415(kind: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        form_of(kind)
    assert caught.value.status == 415


def test_the_known_content_types_are_read() -> None:
    assert form_of("application/json") == "json"
    assert form_of('Application/JSON; charset="UTF-8"') == "json"
    assert form_of("application/x-ndjson") == "ndjson"
