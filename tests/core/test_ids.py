"""baluarte.core.ids: an id leads to its record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.ids import MAX_AT_MS, MAX_INDEX, format_id, format_ids, is_tag, parse_id
from baluarte.errors import DataError

times = st.integers(0, MAX_AT_MS)
tags = st.integers(0, 2**24 - 1).map(lambda n: f"{n:06x}")
indexes = st.integers(0, MAX_INDEX)


@given(times, tags, indexes)
def test_an_id_says_what_it_was_made_of(at_ms: int, tag: str, index: int) -> None:
    text = format_id(at_ms, tag, index)
    found = parse_id(text)
    assert len(text) == 26
    assert (found.at_ms, found.tag, found.index) == (at_ms, tag, index)


@given(times, tags, st.integers(0, MAX_INDEX - 40), st.integers(0, 40))
def test_many_ids_are_the_single_ones(at_ms: int, tag: str, first: int, count: int) -> None:
    single = [format_id(at_ms, tag, first + i) for i in range(count)]
    assert format_ids(at_ms, tag, first, count) == single


@given(times, times, tags, tags, indexes, indexes)
def test_ids_sort_by_time(a: int, b: int, s: str, t: str, i: int, j: int) -> None:
    if a != b:
        assert (format_id(a, s, i) < format_id(b, t, j)) == (a < b)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 25,
        "0" * 27,
        "8" + "0" * 25,
        "I" + "0" * 25,
        "0" * 25 + "u",
        "٠" * 26,
        "0" * 25 + "\n",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        parse_id(text)


@pytest.mark.parametrize(
    ("at_ms", "tag", "index"),
    [
        (-1, "000000", 0),
        (MAX_AT_MS + 1, "000000", 0),
        (0, "00000", 0),
        (0, "00000G", 0),
        (0, "000000", MAX_INDEX + 1),
        (0, "000000", -1),
    ],
)
def test_no_id_is_made_of_parts_out_of_range(at_ms: int, tag: str, index: int) -> None:
    with pytest.raises(ValueError, match=r"id|tag"):
        format_id(at_ms, tag, index)


def test_a_tag_is_six_lower_case_hex_digits() -> None:
    assert is_tag("0af3c9")
    assert not any(map(is_tag, ("", "0AF3C9", "0af3c", "0af3c9\n", "../../")))
