"""baluarte.core.text_columns: the quick ways give what the rules give, or nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baluarte.core.event_value import MAX_CATEGORY_CHARS, ValueRefusedError, check_text, time_us
from baluarte.core.text_columns import parsed_times, plain_texts

moments = st.datetimes().map(lambda t: t.isoformat(sep="T", timespec="microseconds"))
shapes = st.sampled_from([
    lambda t: t + "Z", lambda t: t[:23] + "Z", lambda t: t[:19] + "Z", lambda t: t[:19],
    lambda t: t[:10] + " " + t[11:19], lambda t: t[:10], lambda t: t[:19] + "+02:00",
    lambda t: t.replace("-0", "-1", 1) + "Z", lambda t: t[:11] + "24" + t[13:] + "Z",
])  # fmt: skip


@given(st.lists(moments, max_size=6), shapes, st.booleans())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_times_are_parsed_as_one_by_one_or_not_at_all(found, shape, gaps) -> None:
    cells = [shape(text) for text in found] + ([""] if gaps else [])
    quick = parsed_times(cells)
    if quick is None:
        return
    slow = [float(time_us(cell)) if cell else math.nan for cell in cells]
    assert np.array(slow).tobytes() == quick.tobytes()


@pytest.mark.parametrize(
    "cells",
    [
        ["2026-02-29T00:00:00Z"], ["2026-13-01T00:00:00Z"], ["2026-00-01T00:00:00Z"],
        ["2026-01-01T24:00:00Z"], ["2026-01-01T00:00:60Z"], ["2026-01-01T00:00:00,5Z"],
        ["２026-01-01T00:00:0Z"], ["2026-01-01T00:00:00z"], ["1600-01-01T00:00:00Z"],
        ["2026-01-01T00:00:00Z", "2026-01-01"], ["", ""], [],
    ],
)  # fmt: skip
def test_what_needs_a_closer_look_is_left_to_the_rules(cells: list[str]) -> None:
    assert parsed_times(cells) is None


def test_the_usual_shapes_are_quick() -> None:
    for text in ("2024-02-29T23:59:59Z", "2024-02-29 23:59:59.123", "1969-12-31T23:59:59.999999Z"):
        found = parsed_times([text, "", text])
        assert found is not None
        assert found[0] == found[2] == time_us(text)
        assert math.isnan(found[1])


@given(st.lists(st.none() | st.text(st.characters(), max_size=9), max_size=6))
def test_texts_are_kept_as_one_by_one_or_not_at_all(values: list[str | None]) -> None:
    def slow(value: str | None) -> str | None:
        return check_text(value, MAX_CATEGORY_CHARS) or None if value is not None else None

    quick = plain_texts(values, max_chars=MAX_CATEGORY_CHARS)
    try:
        assert quick == [slow(value) for value in values]
    except ValueRefusedError:
        assert quick is None


def test_a_long_text_or_a_nul_is_left_to_the_rules() -> None:
    assert plain_texts(["x" * 513], max_chars=512) is None
    assert plain_texts(["x", "a\0b"], max_chars=512) is None
    assert plain_texts(["x", "\ud800"], max_chars=512) is None
