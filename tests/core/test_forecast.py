"""baluarte.core.forecast: what a detector takes grows with rows, trials and events as it should."""

from __future__ import annotations

import pytest

from baluarte.core.forecast import DryRun, Prices, fit_seconds, forecast, train_seconds


def run(small_s: float = 1.0, large_s: float = 4.0) -> DryRun:
    return DryRun(
        small=1_000,
        large=4_000,
        families={"a": (small_s, large_s)},
        drawn={"a": (2.0, 3.0)},
        latency_ms=(0.1, 0.2),
        path_ms=(0.5, 1.5),
        record_bytes=2_000.0,
    )


def test_a_fit_that_grows_with_its_rows_is_drawn_out_along_them() -> None:
    assert fit_seconds(run(), "a", 4_000) == pytest.approx(4.0)
    assert fit_seconds(run(), "a", 40_000) == pytest.approx(40.0)


def test_a_small_fit_that_hides_its_growth_is_taken_to_grow_all_the_same() -> None:
    assert fit_seconds(run(large_s=1.0), "a", 40_000) == pytest.approx(10.0)
    assert fit_seconds(run(large_s=1.0), "a", 2_000) == pytest.approx(1.0)


def test_a_fit_never_grows_faster_than_the_steepest_power() -> None:
    assert fit_seconds(run(large_s=64.0), "a", 16_000) == pytest.approx(64 * 4**1.5)


def test_training_is_trials_last_choices_and_the_last_fit() -> None:
    seconds = train_seconds(
        run(), fit_rows=8_000, trial_rows=4_000, final_rows=6_000, trials=10, folds=2
    )
    # Folds of 2 fit on half: trials on 2,000 rows at twice, finals on 3,000 at once and thrice.
    assert seconds == pytest.approx(2 * 10 * 2 * 2.0 + 4 * 2 * 3.0 + 3 * 8.0)


def test_disk_and_cost_follow_the_volume() -> None:
    told = forecast(
        run(), train_s=60.0, events_per_day=200e6, max_latency_ms=None, prices=Prices(cpu_hour=1.0)
    )
    assert told.train_minutes == 1.0
    assert told.disk_bytes_per_day == pytest.approx(400e9)
    # 100,000 s of scoring a day on cores that are planned half busy.
    assert told.cores == 3
    # Half of a year's records are kept on average.
    assert told.cost_per_year == pytest.approx(3 * 8_766 + 400 * 365.25 / 2 * 12 * 0.1)


def test_without_a_volume_there_is_no_disk_and_no_cost() -> None:
    told = forecast(run(), train_s=1, events_per_day=None, max_latency_ms=None, prices=Prices())
    assert (told.disk_bytes_per_day, told.cost_per_year, told.cores) == (None, None, None)
