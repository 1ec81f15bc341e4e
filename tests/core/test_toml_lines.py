"""baluarte.core.toml_lines: every key is found on its line, whatever the form it is written in."""

from __future__ import annotations

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.toml_lines import line_of, places

TEXT = """\
# a comment with [brackets] and = signs
name = "x"  # [not.a.table]
a.b.c = 1
list = [
  "one", # with "quotes" and ]
  'two',

  3, { deep = [1,
    2] },
]
multi = \"\"\"
[looks.like.a.table]
key = 1
\"\"\"
literal = '''
also = "not"
'''
date = 1979-05-27 07:32:00  # a date

[plain]
x = 1
"quoted key" = 2
[plain.sub]
y = true

[[bands]]
name = "pass"

[[bands]]
name = "alert"
[bands.extra]
z = 1
[[bands.inner]]
q = 1
[inline]
table = { one = 1, two.three = "}" }
"""


def test_each_form_of_key_is_found_on_its_line() -> None:
    known = places(TEXT)
    lines = {
        ("name",): 2,
        ("a", "b", "c"): 3,
        ("a", "b"): 3,
        ("list",): 4,
        ("list", 0): 5,
        ("list", 1): 6,
        ("list", 3, "deep"): 8,
        ("list", 3, "deep", 1): 9,
        ("multi",): 11,
        ("literal",): 15,
        ("date",): 18,
        ("plain",): 20,
        ("plain", "quoted key"): 22,
        ("plain", "sub", "y"): 24,
        ("bands", 0, "name"): 27,
        ("bands", 1, "name"): 30,
        ("bands", 1, "extra", "z"): 32,
        ("bands", 1, "inner", 0, "q"): 34,
        ("inline", "table", "two", "three"): 36,
    }
    assert {path: known[path].line for path in lines} == lines


def test_a_path_that_is_not_written_has_the_line_of_its_table() -> None:
    known = places(TEXT)
    assert line_of(known, ("plain", "sub", "absent", 3)) == 23
    assert line_of(known, ("absent",)) == 1


def test_windows_line_ends_count_once() -> None:
    known = places(TEXT.replace("\n", "\r\n"))
    assert known["bands", 1, "name"].line == 30


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=6)
LEAVES = (
    st.integers(-(10**9), 10**9)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)


def emit(value: object, draw_break: bool) -> str:
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(k, ensure_ascii=False)} = {emit(v, draw_break)}" for k, v in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        gap = "\n  " if draw_break else ""
        return f"[{gap}" + f", {gap}".join(emit(v, draw_break) for v in value) + "]"
    if isinstance(value, float):
        return repr(value) if "e" in repr(value) or "." in repr(value) else f"{value!r}.0"
    return json.dumps(value, ensure_ascii=False)


@given(data=st.dictionaries(KEYS, TABLES, max_size=4), multi_line=st.booleans())
def test_the_span_found_for_a_key_holds_its_value(
    data: dict[str, dict[str, object]], multi_line: bool
) -> None:
    text = ""
    for name, table in data.items():
        text += f"[{json.dumps(name, ensure_ascii=False)}]  # = [\n"
        for key, value in table.items():
            text += f"{json.dumps(key, ensure_ascii=False)}={emit(value, multi_line)} # ]\n"
    assert tomllib.loads(text) == data
    known = places(text)
    for name, table in data.items():
        for key, value in table.items():
            place = known[name, key]
            assert tomllib.loads(f"value = {text[place.start : place.end]}")["value"] == value
            assert text.split("\n")[place.line - 1].startswith(json.dumps(key, ensure_ascii=False))
