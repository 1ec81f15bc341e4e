"""baluarte.methods.drift.e_detector: what moved is what it says moved."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from baluarte.core.drift import MAHALANOBIS, RESIDUAL, SCORE
from baluarte.errors import DataError, TrustError
from baluarte.methods.drift.e_detector import Baseline, EDetector
from baluarte.methods.indicators import batch_hits, category_channel, number_channel

NAMES = ["amount", "zeros", "country", "constant", "other"]
CATEGORICAL = [False, False, True, False, False]


def events(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    amount = rng.normal(size=n)
    X = np.column_stack(
        (
            amount,
            np.where(rng.random(n) < 0.8, 0.0, rng.exponential(size=n)),
            np.minimum(rng.geometric(0.5, n) - 1, 5),
            np.full(n, 7.0),
            0.95 * amount + 0.3 * rng.normal(size=n),
        )
    )
    X[rng.random(n) < 0.05, 1] = np.nan
    return X


def scored(X: np.ndarray) -> np.ndarray:
    return np.rint(np.nan_to_num(X[:, 1]) * 2**30).astype(np.int64)


X = events(0, 30_000)
SEALED = EDetector().arm(X, scored(X), names=NAMES, categorical=CATEGORICAL, arl=1e6)


def first_moved(now: np.ndarray, scores: np.ndarray | None = None) -> tuple[str, str, float | None]:
    monitor = EDetector().open(SEALED)
    alarms = monitor.update(now, scored(now) if scores is None else scores)
    assert alarms, "no alarm"
    moved = alarms[0].moved[0]
    return moved.channel, moved.direction, moved.value


def test_quiet_events_raise_nothing() -> None:
    now = events(1, 60_000)
    assert EDetector().open(SEALED).update(now, scored(now)) == []


def test_a_column_that_rises_is_named_with_its_direction() -> None:
    now = events(2, 20_000)
    now[:, 1] += 0.4
    channel, direction, _ = first_moved(now, scored(events(2, 20_000)))
    assert (channel, direction) == ("zeros", "up")


def test_a_constant_that_changes_either_way_is_noticed_at_once() -> None:
    for value, direction in ((6.0, "down"), (8.0, "up")):
        now = events(3, 2_000)
        now[:, 3] = value
        assert first_moved(now)[:2] == ("constant", direction)


def test_a_category_that_grows_is_named_by_its_code() -> None:
    now = events(4, 20_000)
    now[np.random.default_rng(0).random(20_000) < 0.1, 2] = 3.0
    assert first_moved(now) == ("country", "more", 3.0)


def test_categories_that_the_baseline_never_had_are_called_unseen() -> None:
    now = events(5, 20_000)
    now[::50, 2] = 99.0
    assert first_moved(now)[:2] == ("country", "unseen")


def test_values_that_go_missing_and_values_that_come_are_told_apart() -> None:
    now = events(6, 20_000)
    now[::10, 0] = np.nan
    assert first_moved(now)[:2] == ("amount", "missing")
    now = events(6, 60_000)
    now[np.isnan(now[:, 1]), 1] = 0.0
    channel, direction, _ = first_moved(now, scored(events(6, 60_000)))
    assert (channel, direction) in {("zeros", "present"), ("zeros", "down"), ("zeros", "up")}


def test_the_score_is_a_channel_of_its_own() -> None:
    now = events(7, 20_000)
    assert first_moved(now, scored(now) + 2**28)[0] == SCORE


def test_columns_that_part_company_are_novel_though_each_looks_usual() -> None:
    now = events(8, 20_000)
    now[:, 4] = np.random.default_rng(1).permutation(now[:, 4])
    assert first_moved(now)[0] in {MAHALANOBIS, RESIDUAL}


def test_too_small_a_baseline_says_how_many_rows_are_missing() -> None:
    with pytest.raises(DataError, match="Bring 500 more"):
        EDetector().arm(X[:500], scored(X[:500]), names=NAMES, categorical=CATEGORICAL, arl=1e6)


def test_a_last_fifth_unlike_the_rest_is_refused_by_its_channel() -> None:
    changed = X.copy()
    changed[-3_000:, 0] += 3
    with pytest.raises(DataError, match="does not arm"):
        EDetector().arm(changed, scored(X), names=NAMES, categorical=CATEGORICAL, arl=1e6)


def test_slack_keeps_quiet_about_what_operations_accept() -> None:
    now = events(9, 30_000)
    now[:, 0] += 0.1
    tolerant = EDetector(slack=0.5)
    sealed = tolerant.arm(X, scored(X), names=NAMES, categorical=CATEGORICAL, arl=1e6)
    strict = EDetector().open(SEALED).update(now, scored(now))
    assert {alarm.moved[0].channel for alarm in strict} <= {"amount", MAHALANOBIS, RESIDUAL}
    assert len(tolerant.open(sealed).update(now, scored(now))) < len(strict)


def test_every_rate_is_inside_its_interval_on_the_rows_it_was_counted_on() -> None:
    baseline = msgspec.json.decode(SEALED, type=Baseline)
    assert baseline.rehearsal is not None
    assert baseline.rehearsal.alarms <= baseline.rehearsal.allowed
    assert baseline.rows == 18_000
    assert all(low < high for low, high in zip(baseline.low, baseline.high, strict=True))


@pytest.mark.parametrize(
    "change",
    [{"low": (0.5,)}, {"batch": 0}, {"n_columns": 4}, {"novelty": None}, {"arl": -1.0}],
)
def test_a_baseline_whose_parts_do_not_fit_is_refused(change: dict[str, object]) -> None:
    baseline = msgspec.json.decode(SEALED, type=Baseline)
    damaged = msgspec.json.encode(msgspec.structs.replace(baseline, **change))
    with pytest.raises(TrustError):
        EDetector().open(damaged)


def test_a_state_of_another_baseline_is_refused() -> None:
    monitor = EDetector().open(SEALED)
    monitor.update(X[:1_000], scored(X[:1_000]))
    narrow = EDetector().arm(
        X[:, :2], scored(X), names=NAMES[:2], categorical=CATEGORICAL[:2], arl=1e6
    )
    with pytest.raises(TrustError):
        EDetector().open(narrow, monitor.state())


def test_answers_added_eight_at_a_time_are_the_plain_sums() -> None:
    rng = np.random.default_rng(0)
    answers = rng.random((5, 2_040 * 3)) < 0.97
    for batch in (2_040, 120, 8, 51, 1):
        plain = answers.reshape(5, -1, batch).sum(axis=2)
        assert np.array_equal(batch_hits(answers, batch), plain)
    assert np.array_equal(batch_hits(np.ones((1, 2_040), bool), 2_040), [[2_040]])


def test_each_value_answers_exactly_one_question_of_a_category() -> None:
    rng = np.random.default_rng(0)
    x = np.floor(rng.exponential(30, 5_000))
    x[::7] = np.nan
    channel = category_channel("c", x)
    assert len(channel.codes) == 64 < len(channel.known)
    now = np.append(x, [1e6, -1.0, 0.5])
    answers = channel.answers(now)
    assert (answers.sum(axis=0) == 1).all()
    assert answers[-2].sum() == 3
    assert len(channel.questions) == len(answers)


def test_a_column_that_is_always_missing_asks_only_that() -> None:
    channel = number_channel("n", np.full(10, np.nan))
    assert channel.questions == [("missing", None)]
    assert channel.answers(np.array([1.0, np.nan])).tolist() == [[False, True]]
