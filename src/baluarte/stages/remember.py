"""Remember: bring window state up to what the ledger says was decided, and tell it labels."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.decision import DecisionRecord
from baluarte.core.envelope import Envelope
from baluarte.core.event import Values
from baluarte.core.window_plan import WindowPlan
from baluarte.core.windows import Seen, Told
from baluarte.ports import LedgerReader, WindowState
from baluarte.stages.unseal import Unsealer

_BATCH = 1_024


class _Decided(msgspec.Struct, tag_field="kind", tag="decision", gc=False):
    """What a decision's record says that windows need."""

    event_id: str
    event_at: int
    decided_at: int
    detector: str
    role: Literal["champion", "challenger"]
    event: Values
    personal: Envelope | UnsetType = UNSET


class _Act(msgspec.Struct, tag_field="kind", tag="act", gc=False):
    """Any other record."""


_decode = msgspec.json.Decoder(_Decided | _Act).decode
_decode_whole = msgspec.json.Decoder(DecisionRecord).decode


def catch_up(
    state: WindowState,
    plan: WindowPlan,
    reader: LedgerReader,
    *,
    detector: str,
    mark: Mapping[str, int],
    skip: Container[str] = (),
    unsealer: Unsealer,
) -> dict[str, int]:
    """Show the state what was decided after ``mark``, in the order in which it was decided.

    Args:
        mark: how many records of each shard the state knows already.
        skip: ids of events that it knows from elsewhere.
        unsealer: opens what is personal; events of erased people are passed over.

    Returns:
        How many it knows now.

    Raises:
        TrustError: a committed record is missing or damaged.
    """
    known = {tag: reader.size(tag) for tag in reader.shards()}
    shards = [
        _decided(reader, unsealer, detector, tag, mark.get(tag, 0), known[tag]) for tag in known
    ]
    waiting: list[Seen] = []
    for one in heapq.merge(*shards, key=lambda one: one.decided_at):
        if one.event_id in skip:
            continue
        own = one.event.get(plan.time)
        # An event without a time of its own was given its arrival.
        arrived_at = one.event_at if own is None else one.decided_at
        waiting.append(Seen(record=given(plan, one.event), arrived_at=arrived_at))
        if len(waiting) == _BATCH:
            state.see(waiting)
            waiting = []
    state.see(waiting)
    return known


def _decided(  # noqa: PLR0917 - where, how, what
    reader: LedgerReader, unsealer: Unsealer, detector: str, tag: str, start: int, stop: int
) -> Iterator[_Decided]:
    remaining = iter(reader.records(tag, start, stop))
    while some := list(islice(remaining, _BATCH)):
        read = [(data, record) for data in some if isinstance(record := _decode(data), _Decided)]
        mine = [(d, r) for d, r in read if r.detector == detector and r.role == "champion"]
        yield from _opened(mine, unsealer)


def _opened(found: Sequence[tuple[bytes, _Decided]], unsealer: Unsealer) -> Iterator[_Decided]:
    """The records with personal values in their events, without those that are erased."""
    sealed = [data for data, record in found if not isinstance(record.personal, UnsetType)]
    opened = iter(unsealer.all([_decode_whole(data) for data in sealed]))
    for _, record in found:
        if isinstance(record.personal, UnsetType):
            yield record
            continue
        whole = next(opened)
        if not whole.is_sealed:
            yield msgspec.structs.replace(record, event=whole.event, personal=UNSET)


def given(plan: WindowPlan, event: Values) -> Values:
    """What windows read of a recorded event, without what was derived then."""
    return {name: event[name] for name in plan.fields if name in event}


class LabelFeed:
    """Tells a state the labels of decided events, each once.

    Events are found in the ledger, of which every record is read once; those that can't matter any
    more are let go.
    """

    def __init__(
        self, plan: WindowPlan, reader: LedgerReader, *, detector: str, unsealer: Unsealer
    ) -> None:
        self._plan, self._reader, self._detector = plan, reader, detector
        self._unsealer = unsealer
        self._mark: dict[str, int] = {}
        self._events: dict[str, Values] = {}
        self._newest = 0
        self._told: dict[str, int] = {}

    def news(self, labels: Mapping[str, int]) -> list[Told]:
        """Labels that were not told yet, of events that are in the ledger.

        Args:
            labels: event id to 1 for attack, 0 for not; all that are known now.
        """
        fresh = {name: label for name, label in labels.items() if self._told.get(name) != label}
        if not fresh:
            return []
        self._read_on()
        found = [
            Told(event_id=name, record=event, label=label)
            for name, label in sorted(fresh.items())
            if (event := self._events.get(name)) is not None
        ]
        self._told.update((told.event_id, told.label) for told in found)
        return found

    def forget(self, field: str, names: Collection[str]) -> None:
        """Forget the events of subjects."""
        for event_id, event in list(self._events.items()):
            if str(event.get(field)) in names:
                self._events.pop(event_id, None)

    def _read_on(self) -> None:
        for tag in self._reader.shards():
            size = self._reader.size(tag)
            start = self._mark.get(tag, 0)
            for one in _decided(self._reader, self._unsealer, self._detector, tag, start, size):
                at = {self._plan.time: one.event_at}
                self._events.setdefault(one.event_id, given(self._plan, one.event | at))
                self._newest = max(self._newest, one.event_at)
            self._mark[tag] = size
        floor = self._newest - self._plan.keep_us
        # What another thread forgets at this moment may be gone already.
        for name, event in list(self._events.items()):
            if _time(self._plan, event) <= floor:
                self._events.pop(name, None)


def _time(plan: WindowPlan, event: Values) -> int:
    return int(event[plan.time] or 0)
