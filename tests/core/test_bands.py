"""baluarte.core.bands: outcomes, points and probabilities are read from three sealed tables."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baluarte.core.bands import N_CUTS, NEVER, Bands, dumps, loads, point_cuts
from baluarte.core.calibration import Knots, calibrate
from baluarte.core.contract import Points
from baluarte.core.decision import MAX_SCORE
from baluarte.errors import TrustError

any_score = st.integers(-MAX_SCORE, MAX_SCORE)


def bands_of(scores: np.ndarray, labels: np.ndarray, meaning: Points | None = None) -> Bands:
    knots = calibrate(scores, labels)
    cuts = np.quantile(scores, [0.5, 0.9]).astype(np.int64).tolist()
    return Bands(
        names=("pass", "review", "block"),
        thresholds=tuple(cuts),
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, meaning or Points()),
        calibration="isotonic",
    )


def ordinary(unit: float = 2.0**30, n: int = 20_000) -> Bands:
    rng = np.random.default_rng(1)
    labels = (rng.random(n) < 0.1).astype(np.int8)
    return bands_of(np.rint((rng.normal(size=n) + 2 * labels) * unit).astype(np.int64), labels)


BANDS = ordinary()


def test_an_event_is_in_the_highest_band_that_its_score_is_strictly_above() -> None:
    low, high = BANDS.thresholds
    scores = np.array([low - 1, low, low + 1, high, high + 1])
    assert BANDS.decide(scores).tolist() == [0, 0, 1, 1, 2]


@given(arrays(np.int64, st.integers(0, 60), elements=any_score))
def test_one_score_and_many_give_the_same_bits(scores: np.ndarray) -> None:
    scores = np.concatenate((scores, BANDS.thresholds, BANDS.knot_scores[:5], BANDS.point_cuts[:5]))
    scores = np.clip(scores.astype(np.int64), -MAX_SCORE, MAX_SCORE)
    columns = zip(
        BANDS.decide(scores).tolist(),
        BANDS.points(scores).tolist(),
        BANDS.probability(scores).tolist(),
        strict=True,
    )
    alone = [BANDS.decide_one(score) for score in scores.tolist()]
    assert alone == list(columns)
    assert alone == list(zip(*(column.tolist() for column in BANDS.read(scores)), strict=True))


@given(arrays(np.int64, st.integers(2, 100), elements=any_score))
def test_everything_rises_with_the_score(scores: np.ndarray) -> None:
    scores = np.sort(scores)
    for column in (BANDS.decide(scores), BANDS.points(scores), BANDS.probability(scores)):
        assert (np.diff(column) >= 0).all()
    assert 0 <= BANDS.points(scores).min() <= BANDS.points(scores).max() <= N_CUTS


def test_points_are_whole_doublings_of_the_odds_around_the_anchor() -> None:
    scores = np.arange(BANDS.knot_scores[0], BANDS.knot_scores[-1], 2**22)
    p, points = BANDS.probability(scores), BANDS.points(scores)
    expected = np.clip(500 + 50 * np.log2(p / (1 - p)), 0, 999)
    assert np.all(np.abs(points - np.floor(expected)) <= 1)
    assert np.mean(points == np.floor(expected)) > 0.999


@given(unit=st.sampled_from([2.0**10, 2.0**24, 2.0**40]))
def test_equal_probability_is_equal_points_in_every_version(unit: float) -> None:
    other = ordinary(unit, n=5_000)
    scores = np.linspace(other.knot_scores[0], other.knot_scores[-1], 500).astype(np.int64)
    p, points = other.probability(scores), other.points(scores)
    expected = np.floor(np.clip(500 + 50 * np.log2(p / (1 - p)), 0, 999))
    assert np.all(np.abs(points - expected) <= 1)


def test_points_grow_inside_an_isotonic_plateau() -> None:
    scores = np.arange(4_000)
    labels = np.zeros(4_000, dtype=np.int8)
    labels[1_000:2_000:10] = 1  # a plateau at .1
    labels[2_000:] = 1
    plateau = bands_of(scores, labels, Points(double_odds=20))
    inside = plateau.points(np.arange(1_200, 1_800, 100))
    assert (np.diff(inside) > 0).any()


def test_a_table_of_one_knot_is_constant() -> None:
    knots = Knots(scores=np.array([7]), probabilities=np.array([0.25]))
    cuts = point_cuts(knots, Points())
    bands = msgspec.structs.replace(
        BANDS, knot_scores=(7,), knot_probabilities=(0.25,), point_cuts=cuts
    )
    scores = np.array([-MAX_SCORE, 0, 7, 8, MAX_SCORE])
    assert bands.probability(scores).tolist() == [0.25] * 5
    expected = math.floor(500 + 50 * math.log2(1 / 3))
    assert bands.points(scores).tolist() == [expected] * 5
    assert bands.decide_one(0)[1:] == (expected, 0.25)


def test_sealed_bytes_come_back_as_they_were() -> None:
    assert loads(dumps(BANDS)) == BANDS
    assert dumps(loads(dumps(BANDS))) == dumps(BANDS)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"names": ("pass",)}, "names"),
        ({"names": ("pass", "pass", "block")}, "names"),
        ({"thresholds": (1,)}, "one fewer"),
        ({"thresholds": (2, 1)}, "thresholds"),
        ({"thresholds": (0, NEVER)}, "thresholds"),
        ({"knot_scores": ()}, "knots"),
        ({"knot_scores": (1, 1), "knot_probabilities": (0.1, 0.2)}, "knot scores"),
        ({"knot_scores": (1, 2), "knot_probabilities": (0.2, 0.1)}, "knot probabilities"),
        ({"knot_scores": (1, 2), "knot_probabilities": (0.2, 1.5)}, "knot probabilities"),
        ({"point_cuts": (1,) * 998}, "999"),
        ({"point_cuts": tuple(range(999, 0, -1))}, "999"),
    ],
)
def test_tables_that_break_a_rule_are_refused_with_its_words(
    change: dict[str, object], rule: str
) -> None:
    damaged = msgspec.structs.replace(BANDS, **change)
    with pytest.raises(TrustError, match=rule):
        loads(dumps(damaged))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"\xff", dumps(BANDS) + b" ", dumps(BANDS).replace(b":", b": ", 1),
     dumps(BANDS).replace(b'"names"', b'"nomes"'),
     dumps(BANDS).replace(b"baluarte-bands/1", b"baluarte-bands/2"), b"[" * 100_000],
)  # fmt: skip
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        loads(data)


def test_any_flipped_byte_is_refused_or_still_obeys_every_rule() -> None:
    sealed, rng = dumps(BANDS), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(sealed)
        damaged[int(rng.integers(len(sealed)))] ^= int(rng.integers(1, 256))
        try:
            bands = loads(bytes(damaged))
        except TrustError:
            continue
        assert loads(dumps(bands)) == bands
