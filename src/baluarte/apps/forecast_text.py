"""A forecast in words: what the detector will take, and what that stands on."""

from __future__ import annotations

from baluarte.apps.catalogue import Texts
from baluarte.core.forecast import GB, Forecast


def forecast_lines(told: Forecast, texts: Texts) -> list[tuple[str, str, str]]:
    """Name, figure in words and basis of each; disk and cost only where the volume is known."""
    number = texts.numerals.number
    p50, p99 = (number(ms, 2) for ms in told.latency_ms)
    lines = [
        (
            "train",
            texts.get("plan.forecast_train", minutes=number(told.train_minutes, 2)),
            texts.get("plan.forecast_train_basis", rows=told.rows),
        ),
        (
            "latency",
            texts.get("plan.forecast_latency", p50=p50, p99=p99),
            texts.get("plan.forecast_latency_basis"),
        ),
    ]
    if told.disk_bytes_per_day is not None:
        lines.append((
            "disk",
            texts.get("plan.forecast_disk", gb=number(told.disk_bytes_per_day / GB, 2)),
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
