"""baluarte.core.spread: what was usual and what was seen, as it is sealed."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.encode import ColumnInfo
from baluarte.core.spread import MAX_DECIMALS, dumps, fit_spread, loads
from baluarte.errors import TrustError

NUMBER = (ColumnInfo(name="x", field="x", categorical=False),)
CATEGORY = (ColumnInfo(name="c", field="c", categorical=True, n_codes=4),)


def column(values: list[float], attack: list[int] | None = None):  # type: ignore[no-untyped-def]
    labels = np.array(attack or [0] * len(values), np.int8)
    return fit_spread(np.array(values)[:, None], labels, NUMBER).columns[0]


def test_usual_leaves_attacks_out_and_the_range_does_not() -> None:
    one = column([1.0, 2.0, 3.0, 900.0], [0, 0, 0, 1])
    assert (one.low, one.high) == (1.0, 900.0)
    assert one.usual == (1.0, 3.0)


def test_missing_values_are_a_share_and_nothing_else() -> None:
    one = column([math.nan, 4.0, math.nan, 4.0])
    assert one.missing == 0.5
    assert one.scale == 0.0
    empty = column([math.nan])
    assert (empty.low, empty.usual, empty.scale) == (None, None, 0.0)


def test_a_column_without_a_middle_is_measured_by_its_range() -> None:
    assert column([0.0] * 98 + [1.0, 5.0]).scale == 5.0
    assert column([0.0, 1.0, 2.0, 3.0]).scale == 2.0


@given(st.lists(st.integers(-10_000, 10_000), min_size=1), st.integers(0, MAX_DECIMALS))
def test_digits_that_are_found_write_every_value(whole: list[int], digits: int) -> None:
    values = [n / 10**digits for n in whole]
    found = column(values).decimals
    assert found is not None
    assert found <= digits
    assert all(round(v, found) == v for v in values)


def test_a_third_has_no_digits() -> None:
    assert column([1 / 3, 2.0]).decimals is None


def test_categories_are_shares_by_code() -> None:
    x = np.array([0.0, 0.0, 1.0, math.nan])[:, None]
    one = fit_spread(x, np.zeros(4, np.int8), CATEGORY).columns[0]
    assert one.shares == (0.5, 0.25)
    assert one.missing == 0.25


def test_sealed_bytes_come_back_and_others_are_refused() -> None:
    spread = fit_spread(np.array([[1.0], [2.5]]), np.zeros(2, np.int8), NUMBER)
    assert loads(dumps(spread), NUMBER) == spread
    for bad in (b"{}", dumps(spread) + b" ", b"\xff"):
        with pytest.raises(TrustError):
            loads(bad, NUMBER)
    with pytest.raises(TrustError, match="columns"):
        loads(dumps(spread), CATEGORY)
    turned = msgspec.structs.replace(spread.columns[0], low=9.0)
    with pytest.raises(TrustError, match="rule"):
        loads(dumps(msgspec.structs.replace(spread, columns=(turned,))), NUMBER)
