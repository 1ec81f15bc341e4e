"""What a detector will take: minutes to train, milliseconds an event, disk a day, money a year.

A forecast stands on a dry run of two small fits, so it is right to a factor of two or so: enough to
see in time that a year costs a hundred times what was thought.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

HOURS_PER_YEAR = 8_766.0
SECONDS_PER_DAY = 86_400.0
MONTHS_PER_YEAR = 12
BUSY = 0.5  #: share of a core's time that is planned with, so that peaks fit
GB = 1e9
STEEPEST = 1.5  #: power of the rows that a fit is thought to grow with, at most


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What things cost where the detector runs; the defaults are those of a middling cloud."""

    cpu_hour: Annotated[float, Meta(ge=0, description="one core for an hour")] = 0.05
    gb_month: Annotated[float, Meta(ge=0, description="a gigabyte of disk for a month")] = 0.1
    currency: Annotated[str, Meta(min_length=1, max_length=8)] = "EUR"


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured.

    Attributes:
        families: seconds of one fit at the defaults on ``small`` and on ``large`` rows.
        drawn: how many times as long fits of drawn parameters take: on average, and at most.
        latency_ms: median and 99th percentile of scoring one encoded event on the program of one
            family, as the gate of that name times it.
        path_ms: the same from the event's JSON on: decoded, checked, encoded and scored.
        record_bytes: mean length of one decision's record, with reasons for alerts alone.
    """

    small: int
    large: int
    families: dict[str, tuple[float, float]]
    drawn: dict[str, tuple[float, float]]
    latency_ms: tuple[float, float]
    path_ms: tuple[float, float]
    record_bytes: float


class NoForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no forecast: the one thing that a dry run lacks.

    Attributes:
        why: there is no split, or there are too few labelled rows, too few of the rarer class, or
            no library to fit with.
        n: how many there are, of what there are too few of.
        needed: how many it takes.
    """

    why: Literal["split", "rows", "rare", "library"]
    n: int = 0
    needed: int = 0


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector will take.

    Attributes:
        events_per_day: as the contract states it, else as the data's times tell; None if neither.
        cores: that scoring keeps busy at that volume, at least one.
        cost_per_year: cores and the first year's records at the stated prices.
    """

    rows: int  #: of the larger fit that was timed
    train_minutes: float
    latency_ms: tuple[float, float]
    path_ms: tuple[float, float]
    max_latency_ms: float | None
    record_bytes: float
    events_per_day: float | None
    disk_bytes_per_day: float | None
    cores: int | None
    cost_per_year: float | None
    prices: Prices


def fit_seconds(run: DryRun, family: str, rows: int) -> float:
    """Seconds of one fit at the defaults on so many rows, by the power that the timed ones give.

    The power is at least 1 beyond the larger fit: what a small one pays once hides how it grows.
    """
    small, large = (max(seconds, 1e-6) for seconds in run.families[family])
    power = math.log(large / small) / math.log(run.large / run.small)
    power = min(max(power, 1.0 if rows > run.large else 0.0), STEEPEST)
    return large * math.pow(max(rows, 1) / run.large, power)


def train_seconds(
    run: DryRun, *, fit_rows: int, trial_rows: int, final_rows: int, trials: int, folds: int
) -> float:
    """Seconds of the whole training: the trials, the last choices, and the fits on all rows.

    Args:
        trial_rows: of a trial's sample; each of its fits leaves one fold out.
        final_rows: of the sample on which the best of each family are compared again.
    """
    of_a_fold = (folds - 1) / folds
    a_family = max(trials / len(run.families), 1.0)
    trial, final = (int(min(n, fit_rows) * of_a_fold) for n in (trial_rows, final_rows))
    total = 0.0
    for family in run.families:
        usual, most = run.drawn[family]
        total += usual * a_family * folds * fit_seconds(run, family, trial)
        # The defaults and the best are compared; the best are mostly dear ones.
        total += (1 + most) * folds * fit_seconds(run, family, final)
        total += most * fit_seconds(run, family, fit_rows)
    return total


def forecast(
    run: DryRun,
    *,
    train_s: float,
    events_per_day: float | None,
    max_latency_ms: float | None,
    prices: Prices,
) -> Forecast:
    """The forecast at this volume.

    >>> run = DryRun(
    ...     small=1,
    ...     large=2,
    ...     families={},
    ...     drawn={},
    ...     latency_ms=(0.05, 0.1),
    ...     path_ms=(0.1, 0.2),
    ...     record_bytes=1e3,
    ... )
    >>> told = forecast(run, train_s=90, events_per_day=1e6, max_latency_ms=None, prices=Prices())
    >>> told.cores, round(told.disk_bytes_per_day / 1e9, 1), round(told.cost_per_year)
    (1, 1.0, 657)
    """
    cores = disk = cost = None
    if events_per_day is not None:
        busy_s = events_per_day * run.path_ms[0] / 1e3
        cores = max(math.ceil(busy_s / SECONDS_PER_DAY / BUSY), 1)
        disk = events_per_day * run.record_bytes
        # Records grow from nothing to a year's: on average half of them are kept.
        kept_gb = disk * HOURS_PER_YEAR / 24 / 2 / GB
        cost = cores * HOURS_PER_YEAR * prices.cpu_hour
        cost += kept_gb * MONTHS_PER_YEAR * prices.gb_month
    return Forecast(
        rows=run.large,
        train_minutes=train_s / 60,
        latency_ms=run.latency_ms,
        path_ms=run.path_ms,
        max_latency_ms=max_latency_ms,
        record_bytes=run.record_bytes,
        events_per_day=events_per_day,
        disk_bytes_per_day=disk,
        cores=cores,
        cost_per_year=cost,
        prices=prices,
    )
