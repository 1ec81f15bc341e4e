"""baluarte.core.chance: bounds on what chance shows hold, and are not empty."""

from __future__ import annotations

import numpy as np

from baluarte.core.chance import ALPHA, auc_by_chance, auc_figure, by_chance, share_figure


def counts(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value]) for value in values)


def test_marks_that_tell_nothing_pass_for_telling_less_often_than_is_said() -> None:
    rng = np.random.default_rng(1)
    called, runs = 0, 3_000
    for _ in range(runs):
        attack = rng.random(400) < 0.1
        mark = rng.random(400) < 0.3
        stratum = rng.integers(0, 3, 400)
        tables = [
            np.bincount(stratum[rows], minlength=3)
            for rows in (mark & attack, mark, attack, np.ones(400, dtype=bool))
        ]
        called += by_chance(*tables) <= 0.05
    assert called / runs <= 0.05


def test_a_mark_on_every_attack_is_no_chance() -> None:
    assert by_chance(*counts(40, 40, 40, 1_000)) < 1e-50
    assert by_chance(*counts(0, 200, 200, 400)) < 1e-40


def test_strata_of_unlike_shares_are_no_evidence_by_themselves() -> None:
    # Marked rows are mostly of the stratum with most attacks, and there as usual.
    hits, marked = np.array([80, 2]), np.array([100, 20])
    attacks, rows = np.array([800, 100]), np.array([1_000, 1_000])
    assert by_chance(hits, marked, attacks, rows) == 1.0
    pooled = by_chance(*counts(82, 120, 900, 2_000))
    assert pooled < ALPHA


def test_an_auc_by_chance_is_believed_no_more_often_than_is_said() -> None:
    rng = np.random.default_rng(2)
    called, runs = 0, 2_000
    for _ in range(runs):
        a, b = rng.random(30), rng.random(300)
        auc = float((a[:, None] > b[None, :]).mean())
        called += auc_by_chance(auc, 30, 300) <= 0.05
    assert called / runs <= 0.05


def test_intervals_hold_the_value_and_stay_within_the_unit() -> None:
    figure = auc_figure(0.99, 50, 500)
    assert figure.low is not None
    assert figure.low < 0.99
    assert figure.high == 1.0
    none = share_figure("x", 0, 10)
    assert (none.low, none.value) == (0.0, 0.0)
