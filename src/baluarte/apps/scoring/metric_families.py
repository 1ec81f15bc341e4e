"""What a worker of the data plane counts: every figure's name, help, labels and bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

SECONDS = (
    .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1.0, 2.5, 10.0,
)  # fmt: skip
POINTS = (99, 199, 299, 399, 499, 599, 699, 799, 899, 999)
OF_VERSION = ("detector", "version")


class Family(msgspec.Struct, frozen=True):
    """One metric: its help, its labels, and how workers' values become one.

    Attributes:
        how: ``count`` adds up all that there ever were; the others are of living workers.
    """

    help: str
    labels: tuple[str, ...] = ()
    how: Literal["count", "sum", "max", "min"] = "count"


HOW: dict[str, Callable[[list[float]], float]] = {
    "count": sum,
    "sum": sum,
    "max": max,
    "min": min,
}
SPREADS: dict[str, tuple[str, tuple[float, ...]]] = {
    "baluarte_request_seconds": (
        "Time from a request's arrival to its answer, decisions only",
        SECONDS,
    ),
    "baluarte_points": ("Points of decisions that were made and recorded", POINTS),
}
FAMILIES: dict[str, Family] = {
    "baluarte_decisions": Family("Decisions made and recorded", (*OF_VERSION, "outcome")),
    "baluarte_reasons_deferred": Family(
        "Decisions whose reasons were due and left to replay, for the load", ("detector",)
    ),
    "baluarte_repeats": Family(
        "Events that were sent again and got their first decision", ("detector",)
    ),
    "baluarte_repeats_forgotten_early": Family(
        "First decisions that made room for others before their window ended"
    ),
    "baluarte_shadowed": Family("Events that a challenger scored beside", OF_VERSION),
    "baluarte_shadow_shed": Family(
        "Events that challengers left out, for the load or a failure", ("detector",)
    ),
    "baluarte_refusals": Family("Requests refused, by code", ("code",)),
    "baluarte_ledger_waiting_requests": Family(
        "Requests whose records are not durable yet", how="sum"
    ),
    "baluarte_ledger_lag_seconds": Family(
        "Time that the last group of records took to become durable", how="max"
    ),
    "baluarte_ledger_writable": Family(
        "1 where decisions can be recorded; the least over the workers", how="min"
    ),
    "baluarte_ledger_free_bytes": Family("Room on the ledger's disk", how="min"),
    "baluarte_ledger_reserved_bytes": Family(
        "Room that workers have reserved for records and not used yet", how="sum"
    ),
    "baluarte_ledger_has_room": Family(
        "0 where decisions are shed since the disk is nearly full; the least over the workers",
        how="min",
    ),
    "baluarte_ledger_gap_decisions": Family(
        "Decisions that were answered without a record; gap records mark them", ("detector",)
    ),
    "baluarte_champion_version": Family(
        "The version that decides; the least over the workers", ("detector",), "min"
    ),
    "baluarte_kernel_compiled": Family(
        "1 where the compiled kernel scores, 0 where NumPy does, more slowly; the least over "
        "the workers",
        how="min",
    ),
    "baluarte_champion_swaps": Family("Changes of the version that decides"),
    "baluarte_champion_refusals": Family(
        "Champions that were not let in, by the family of the error", ("error",)
    ),
    "baluarte_windows": Family(
        "What window features remember (entities), and what their rules did since the state "
        "began: events, repeats, too_late, entities_forgotten …",
        ("detector", "what"),
        "max",
    ),
    "baluarte_workers": Family("Workers that answer", how="sum"),
}
