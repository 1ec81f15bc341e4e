"""Repeated decisions: a retry shares its event's id, and one version scores it the same each time.

Callers send an event again when an answer was lost, so one event may have several records; whoever
counts events counts distinct ids. Two scores for one id and one version are an incident: two events
had the same id, or the same bits were not computed.
"""

from __future__ import annotations

from array import array

import msgspec
import numpy as np

from baluarte.core.decision import DecisionRecord
from baluarte.errors import Fault
from baluarte.ports import LedgerReader

_MAX_INCIDENTS = 100  #: named; the rest are counted


class Repeats:
    """Takes decisions of any number of shards in 32 bytes each.

    An id is held by a 64-bit hash; what looks like an incident is read again before it is called
    one, so a collision of hashes never is.
    """

    def __init__(self) -> None:
        self._keys, self._events = array("q"), array("q")
        self._scores, self._places = array("q"), array("q")
        self._tags: list[str] = []
        self._starts: list[int] = []

    def begin(self, tag: str) -> None:
        """The decisions that follow are of this shard."""
        self._tags.append(tag)
        self._starts.append(len(self._places))

    def add(self, record: DecisionRecord, index: int) -> None:
        """One decision and its index in the shard."""
        self._events.append(hash((record.detector, record.event_id)))
        self._keys.append(hash((record.detector, record.version, record.role, record.event_id)))
        self._scores.append(record.score)
        self._places.append(index)

    def distinct(self) -> int:
        """How many events were decided."""
        return len(np.unique(np.array(self._events, dtype=np.int64)))

    def incidents(self, reader: LedgerReader) -> list[Fault]:
        """Each event that one version gave two scores."""
        keys = np.array(self._keys, dtype=np.int64)
        scores = np.array(self._scores, dtype=np.int64)
        order = np.lexsort((scores, keys))
        keys, scores = keys[order], scores[order]
        differing = ((keys[1:] == keys[:-1]) & (scores[1:] != scores[:-1])).nonzero()[0]
        found: list[Fault] = []
        for at in differing.tolist():
            one, two = (self._record(reader, int(order[at + k])) for k in (0, 1))
            same = ("detector", "version", "role", "event_id")
            if all(getattr(one, name) == getattr(two, name) for name in same):
                found.append(_incident(one, two))
        shown = found[:_MAX_INCIDENTS]
        if len(found) > len(shown):
            shown.append(Fault(f"{len(found) - len(shown)} further incidents"))
        return shown

    def _record(self, reader: LedgerReader, number: int) -> DecisionRecord:
        shard = int(np.searchsorted(self._starts, number, side="right")) - 1
        data = reader.record(self._tags[shard], self._places[number])
        return msgspec.json.decode(data, type=DecisionRecord)


def _incident(one: DecisionRecord, two: DecisionRecord) -> Fault:
    why = (
        "the same event was scored differently"
        if one.event_digest == two.event_digest
        else "two different events have this id"
    )
    return Fault(
        f"{one.detector}@{one.version} gave event {one.event_id[:60]!r} the scores {one.score} and "
        f"{two.score}: {why}",
        where=f"{one.id}, {two.id}",
        hint=f"baluarte replay {one.id} {two.id}",
    )
