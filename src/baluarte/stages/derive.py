"""Derive: window features of many events, through the same state that a request goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events, records
from baluarte.core.labels import attacks
from baluarte.core.window_plan import WindowPlan, compile_windows
from baluarte.core.windows import Seen, WindowMemory
from baluarte.ports import Progress

See = Callable[[Sequence[Seen]], None]

_CHUNK = 65_536  #: rows that are held as records at a time


def derive_for_training(
    contract: Contract, events: Events, *, progress: Progress | None = None
) -> Events:
    """The events with their window features, each as it was at the event's own time.

    The events are replayed in the order of time, from an empty memory, with their labels; labels
    only count after the lag that the contract states. Without window features nothing changes.
    """
    plan = compile_windows(contract)
    if plan is None:
        return events
    return show_history(WindowMemory(plan).see, plan, contract, events, progress=progress)


def show_history(
    see: See,
    plan: WindowPlan,
    contract: Contract,
    events: Events,
    *,
    progress: Progress | None = None,
) -> Events:
    """Show labelled events of the past to a state, in the order of time; as for training.

    Args:
        see: shows events to the state, which writes their window features into their records.
    """
    times = events.columns.get(plan.time, np.full(events.n, math.nan))
    order = np.argsort(np.asarray(times, dtype=np.float64), kind="stable")
    labels = attacks(contract, events)
    out = {name: np.full(events.n, math.nan) for name in plan.names}
    for start in range(0, events.n, _CHUNK):
        rows = order[start : start + _CHUNK]
        found = _derive(see, plan, events.take(rows), labels=labels[rows], arrived_at=None)
        for name, column in found.items():
            out[name][rows] = column
        if progress is not None:
            progress.step(min(start + _CHUNK, events.n), events.n)
    return Events(n=events.n, columns={**events.columns, **out})


def past_events(plan: WindowPlan, contract: Contract, events: Events) -> list[Seen]:
    """Events of the past as a state is shown them, with their labels, in the order given."""
    return _seen(plan, events, labels=attacks(contract, events), arrived_at=None)


def derive_in_order(see: See, plan: WindowPlan, events: Events, *, arrived_at: int) -> Events:
    """The events with their window features, in the order given: as if they came one by one.

    Args:
        see: shows events to the state, which writes their window features into their records.
        arrived_at: microseconds of UTC.
    """
    columns = dict(events.columns)
    found = _derive(see, plan, events, labels=None, arrived_at=arrived_at)
    return Events(n=events.n, columns={**columns, **found})


def _derive(
    see: See,
    plan: WindowPlan,
    events: Events,
    *,
    labels: NDArray[np.int8] | None,
    arrived_at: int | None,
) -> dict[str, Column]:
    seen = _seen(plan, events, labels=labels, arrived_at=arrived_at)
    see(seen)
    return {
        name: np.array([_number(each.record.get(name)) for each in seen], dtype=np.float64)
        for name in plan.names
    }


def _seen(
    plan: WindowPlan,
    events: Events,
    *,
    labels: NDArray[np.int8] | None,
    arrived_at: int | None,
) -> list[Seen]:
    needed = {name: events.columns[name] for name in plan.fields if name in events.columns}
    known = (
        [None] * events.n if labels is None else [x if x >= 0 else None for x in labels.tolist()]
    )
    return [
        Seen(record=record, arrived_at=arrived_at, label=label)
        for record, label in zip(records(Events(n=events.n, columns=needed)), known, strict=True)
    ]


def features_of(plan: WindowPlan, seen: Sequence[Seen]) -> NDArray[np.float64]:
    """(n, features) what a state wrote into the records, in the plan's order; NaN is missing."""
    rows = [[_number(each.record.get(name)) for name in plan.names] for each in seen]
    return np.array(rows, dtype=np.float64).reshape(len(seen), len(plan.names))


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
