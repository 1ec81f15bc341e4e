"""baluarte.core.judging: a gate passes on the bound, and a look that fails returns one bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.bounds import clopper_pearson_low
from baluarte.core.contract import Gate
from baluarte.core.evidence import GateResult
from baluarte.core.judging import (
    MISSING,
    blind,
    by_segment,
    judge_rate,
    overall,
    planned_truth,
    rate_needed,
)
from baluarte.errors import ContractError


def judged(hits: int, n: int, *, limit: float = 0.95, alpha: float = 0.05) -> GateResult:
    return judge_rate("recall", figure="recall", hits=hits, n=n, limit=limit, alpha=alpha)


def test_a_point_at_the_limit_does_not_pass() -> None:
    result = judged(950, 1_000)
    assert result.figure.value == 0.95
    assert result.verdict == "fail"
    assert judged(970, 1_000).verdict == "pass"


@given(n=st.integers(0, 2_000), share=st.floats(0, 1))
def test_the_verdict_is_that_of_the_bound(n: int, share: float) -> None:
    hits = round(share * n)
    result = judged(hits, n)
    assert (result.verdict == "pass") == (n > 0 and clopper_pearson_low(hits, n, 0.05) >= 0.95)
    assert (result.needed > 0) == (n < rate_needed(0.95, alpha=0.05))


def test_few_rows_that_show_enough_do_pass() -> None:
    assert judged(100, 100).verdict == "pass"  # .05 ** (1 / 100) is .9705
    assert judged(98, 100).verdict == "not_enough_data"
    assert judged(98, 100).needed == 501


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=4),
    st.lists(st.integers(0, 50), min_size=4, max_size=4),
)
def test_what_leaves_a_look_that_does_not_pass_depends_on_sizes_alone(
    outcomes: list[tuple[int, int]], others: list[int]
) -> None:
    sizes = [100 * (n + 1) for _, n in outcomes]
    first = [judged(min(2 * k, n), n) for (k, _), n in zip(outcomes, sizes, strict=True)]
    second = [judged(min(k, n), n) for k, n in zip(others, sizes, strict=False)]
    if "pass" not in {overall(first), overall(second)}:
        assert blind(first) == blind(second)


def test_a_pass_shows_its_figures_and_anything_else_shows_none() -> None:
    good, bad = judged(2_000, 2_000), judged(10, 2_000)
    assert blind([good, good]).results == (good, good)
    assert blind([good, bad]).results == ()
    assert blind([good, bad]).verdict == "fail"
    assert blind([good, judged(1, 10)]).verdict == "not_enough_data"


def test_no_gate_at_all_is_no_pass() -> None:
    assert overall([]) == "fail"


def test_segments_are_sorted_and_rows_without_a_value_are_one_of_them() -> None:
    values = np.array(["b", None, "a", float("nan"), 3.5], dtype=object)
    found = by_segment(Gate(name="recall", by="x"), {"x": values}, 5)
    assert [(name, rows.tolist()) for name, rows in found] == [
        (MISSING, [False, True, False, True, False]),
        ("3.5", [False, False, False, False, True]),
        ("a", [False, False, True, False, False]),
        ("b", [True, False, False, False, False]),
    ]
    with pytest.raises(ContractError, match="by 'y'"):
        by_segment(Gate(name="recall", by="y"), {"x": values}, 5)


def test_a_perfect_rate_is_not_asked_of_any_number_of_rows() -> None:
    with pytest.raises(ContractError, match="room for an error"):
        rate_needed(1.0, alpha=0.05)
    with pytest.raises(ContractError, match="room for an error"):
        rate_needed(0.0, alpha=0.05, below=True)
    assert rate_needed(0.0, alpha=0.05) == 0
    assert rate_needed(1.0, alpha=0.05, below=True) == 0


def test_the_planned_truth_is_mirrored() -> None:
    assert 1 - planned_truth(0.9) == pytest.approx(planned_truth(0.1, below=True))
