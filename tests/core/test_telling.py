"""baluarte.core.telling: a column that says the label is seen, one of many values is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.telling import auc_alone, filled, missing_in, told_alone


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def labels(n: int = 4_000, share: float = 0.2) -> np.ndarray:
    return (rng().random(n) < share).astype(np.int8)


def test_a_copy_of_the_label_has_an_auc_of_one() -> None:
    y = labels()
    assert auc_alone(y.astype(np.float64), y) == 1.0
    assert auc_alone(1.0 - y, y) == 1.0
    assert auc_alone(np.where(y == 1, "yes", "no").astype(object), y) == 1.0


def test_chance_stays_near_a_half_even_with_a_value_for_every_row() -> None:
    y = labels()
    names = np.array([f"row {i}" for i in range(len(y))], dtype=object)
    assert auc_alone(names, y) == pytest.approx(0.5, abs=0.02)
    assert auc_alone(rng().normal(size=len(y)), y) == pytest.approx(0.5, abs=0.05)


def test_a_shifted_normal_has_its_known_auc() -> None:
    # Φ(1/√2) = .7602 for unit normals one apart (Green & Swets, 1966).
    y = labels(60_000)
    x = np.random.default_rng(1).normal(size=len(y)) + y
    assert auc_alone(x, y) == pytest.approx(0.7602, abs=0.01)


def test_a_middle_that_means_attack_is_seen_though_it_is_not_monotone() -> None:
    y = labels()
    x = np.where(y == 1, 0.5, np.where(rng().random(len(y)) < 0.5, 0.0, 1.0))
    assert auc_alone(x, y) == 1.0


def test_missing_values_say_what_they_say() -> None:
    y = labels()
    assert auc_alone(np.where(y == 1, np.nan, 7.0), y) == 1.0
    shares = filled(np.where(y == 1, np.nan, 7.0), y)
    assert shares is not None
    assert (shares.attacks, shares.rest) == (0.0, 1.0)


def test_too_few_of_a_class_say_nothing() -> None:
    y = np.zeros(500, dtype=np.int8)
    y[:19] = 1
    assert auc_alone(y.astype(np.float64), y) is None
    assert filled(y.astype(np.float64), y) is None


@given(order=st.permutations(list(range(200))))
def test_unlabelled_rows_never_count(order: list[int]) -> None:
    y = np.array([1] * 60 + [0] * 60 + [-1] * 80, dtype=np.int8)[order]
    x = np.where(y == -1, 10.0, y.astype(np.float64))
    assert auc_alone(x, y) == 1.0


def test_missing_is_none_or_nan() -> None:
    assert missing_in(np.array(["a", None], dtype=object)).tolist() == [False, True]
    assert missing_in(np.array([1.0, np.nan])).tolist() == [False, True]


def test_the_place_in_a_file_without_order_tells_nothing() -> None:
    draw = np.random.default_rng(5)
    for n in (1_000, 3_000, 20_000):
        aucs = []
        for _ in range(20):
            attack = (draw.random(n) < 0.2).astype(np.int8)
            told = told_alone(np.arange(n, dtype=np.float64), attack)
            assert told is not None
            aucs.append(told.auc)
        assert abs(np.mean(aucs) - 0.5) < 4 * 0.3 / np.sqrt(0.16 * n / 2 * 20)
