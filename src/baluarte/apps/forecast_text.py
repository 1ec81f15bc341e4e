"""A forecast in words: what the detector will take, and what that stands on."""

from __future__ import annotations

import math

from baluarte.apps.catalogue import Texts
from baluarte.core.forecast import Forecast, NoForecast


def forecast_lines(told: Forecast, texts: Texts) -> list[tuple[str, str, str]]:
    """Name, figure in words and basis of each; disk and cost only where the volume is known."""
    number = texts.numerals.number
    p50, p99 = (number(ms, 2) for ms in told.path_ms)
    minutes = told.train_minutes
    took = f"{number(minutes, 2)} min" if minutes >= 1 else f"{math.ceil(minutes * 60)} s"
    lines = [
        (
            "train",
            texts.get("plan.forecast_train", took=took),
            texts.get("plan.forecast_train_basis", rows=told.rows),
        ),
        (
            "latency",
            texts.get("plan.forecast_latency", p50=p50, p99=p99),
            texts.get("plan.forecast_latency_basis", score=number(told.latency_ms[0], 2)),
        ),
    ]
    if told.disk_bytes_per_day is not None:
        lines.append((
            "disk",
            texts.get("plan.forecast_disk", size=texts.numerals.size(told.disk_bytes_per_day)),
            texts.get(
                "plan.forecast_disk_basis",
                bytes=round(told.record_bytes),
                n=round(told.events_per_day or 0),
            ),
        ))  # fmt: skip
    if told.cost_per_year is not None:
        prices = told.prices
        lines.append((
            "cost",
            texts.get(
                "plan.forecast_cost",
                cost=round(told.cost_per_year),
                currency=prices.currency,
            ),
            texts.get(
                "plan.forecast_cost_basis",
                cores=told.cores,
                cpu=prices.cpu_hour,
                disk=prices.gb_month,
            ),
        ))  # fmt: skip
    return lines


def no_forecast_line(lack: NoForecast, texts: Texts) -> str:
    """Why there is no forecast, and what it would take."""
    if lack.why in ("rows", "rare"):
        return texts.get(f"plan.no_forecast_{lack.why}", n=lack.n, needed=lack.needed)
    return texts.get(f"plan.no_forecast_{lack.why}")
