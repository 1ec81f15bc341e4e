"""baluarte.core.paired: differences of two rankings, with intervals that hold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from baluarte.core import paired
from baluarte.core.paired import Ranking, gains, share_difference


@cache
def interval(wins: int, losses: int, n: int) -> tuple[float, float]:
    return share_difference(wins, losses, n, confidence=0.95)


@pytest.mark.parametrize(("wins", "losses", "n"), [(9, 2, 44), (0, 0, 30), (5, 5, 50), (1, 7, 20)])
def test_at_both_ends_the_score_statistic_is_the_normal_quantile(
    wins: int, losses: int, n: int
) -> None:
    low, high = interval(wins, losses, n)
    assert low < (wins - losses) / n < high
    for end in (low, high):
        # The likeliest chances with this difference, found by trying them all.
        theirs = np.linspace(max(0.0, -end), (1 - end) / 2, 400_001)[1:-1]
        same = 1 - 2 * theirs - end
        likely = (
            wins * np.log(theirs + end)
            + losses * np.log(theirs)
            + (n - wins - losses) * (np.log(same))
        )
        best = theirs[np.nanargmax(likely)]
        score = (wins - losses - n * end) / np.sqrt(n * (2 * best + end - end**2))
        assert abs(score) == pytest.approx(1.96, abs=2e-3)


@pytest.mark.parametrize("chances", [(0.2, 0.1, 80), (0.03, 0.03, 120), (0.5, 0.02, 40)])
def test_in_2000_simulations_the_interval_holds_the_difference_about_as_often_as_it_says(
    chances: tuple[float, float, int],
) -> None:
    wins, losses, n = chances
    rng = np.random.default_rng(5)
    drawn = rng.multinomial(n, [wins, losses, 1 - wins - losses], size=2_000)
    held = [low <= wins - losses <= high for low, high in (interval(b, c, n) for b, c, _ in drawn)]
    assert np.mean(held) >= 0.93  # nominal .95; three standard errors are .015


def rankings(n: int, seed: int, better: float) -> tuple[Ranking, Ranking, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(np.int8)
    shared = rng.normal(size=n) + 1.0 * labels
    theirs = shared + rng.normal(size=n)
    ours = shared + rng.normal(size=n) + better * labels
    cuts = [np.quantile(s[labels == 0], 0.9) for s in (ours, theirs)]
    return (
        Ranking(scores=ours, alerts=ours > cuts[0]),
        Ranking(scores=theirs, alerts=theirs > cuts[1]),
        labels,
    )


def test_the_difference_of_areas_holds_zero_where_there_is_none() -> None:
    held = []
    for seed in range(600):
        ours, theirs, labels = rankings(250, seed, better=0.0)
        area = paired._area(ours.scores, theirs.scores, labels == 1, 0.9)
        assert area.low is not None
        assert area.high is not None
        held.append(area.low <= 0.0 <= area.high)
    assert np.mean(held) >= 0.86  # nominal .90; three standard errors are .037


def test_a_better_ranking_gains_in_every_figure_and_equal_ones_gain_nothing() -> None:
    ours, theirs, labels = rankings(4_000, 1, better=1.0)
    rng = np.random.default_rng(0)
    for one in gains(ours, theirs, labels, max_fpr=0.1, confidence=0.95, rng=rng):
        if one.name != "gain.false_alarm_rate":
            assert one.low is not None
            assert one.low > 0.0, one.name
    for one in gains(ours, ours, labels, max_fpr=0.1, confidence=0.95, rng=rng):
        assert one.value == 0.0
        assert one.low is not None
        assert one.high is not None
        assert one.low <= 0.0 <= one.high
