"""baluarte.apps.numerals: numbers as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.apps.numerals import Numerals

EN, ES = Numerals("en"), Numerals("es")


@pytest.mark.parametrize(
    ("x", "english", "spanish"),
    [
        (0.0, "0", "0"),
        (1234.0, "1,234", "1234"),
        (12345.0, "12,345", "12\u202f345"),
        (-0.25, "−0.25", "−0,25"),
        (-12345.0, "−12,345", "−12\u202f345"),
        (0.01034, "0.01034", "0,01034"),
        (123456.7, "123,457", "123\u202f457"),
        (2e-11, "2·10⁻¹¹", "2·10⁻¹¹"),
        (math.inf, "∞", "∞"),
        (-math.inf, "−∞", "−∞"),
        (math.nan, "–", "–"),
    ],
)
def test_a_number_reads_well_in_both_languages(x: float, english: str, spanish: str) -> None:
    assert EN.number(x) == english
    assert ES.number(x) == spanish


def test_shares_are_percents_of_three_digits() -> None:
    assert EN.percent(0.98765) == "98.8 %"
    assert ES.percent(0.0084) == "0,84 %"
    assert EN.percent(1.0) == "100 %"


@given(st.integers(-(10**12), 10**12))
def test_a_count_keeps_all_its_digits(n: int) -> None:
    assert int(EN.count(n).replace(",", "").replace("−", "-")) == n
    assert int(ES.count(n).replace("\u202f", "").replace("−", "-")) == n
