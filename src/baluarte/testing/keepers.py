"""A keeper of a ledger in memory, and what every keeper must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from baluarte.core.merkle import leaf_hash
from baluarte.core.retention import Dropped, RecordClass, oldest_of
from baluarte.errors import DataError
from baluarte.ports import LedgerKeeper, LedgerReader, LedgerShard, SegmentInfo
from baluarte.testing.expect import refused, same

if TYPE_CHECKING:
    from baluarte.testing.stores import MemoryLedger


class MemoryKeeper:
    """Compresses and drops records of a :class:`MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._ended: dict[str, int] = {}

    def reserve(self) -> bool:
        """Memory is never full."""
        return True

    def settle(self) -> list[str]:
        """Nothing is ever left unsettled in memory."""
        return []

    def end_segments(self, older_than: Mapping[RecordClass, int]) -> None:
        """End the last segment of each free shard that has older records."""
        for tag in self._ledger.kept.keys() - self._ledger.held:
            each, size = self._ledger.segment_records, self._ledger.size(tag)
            oldest = oldest_of(self._ledger.records(tag, size // each * each))
            if any(at < older_than.get(kind, at) for kind, at in oldest.items()):
                self._ended[tag] = self._ledger.size(tag)

    def closed(self, tag: str) -> list[SegmentInfo]:
        """Segments of so many records, and a last one where it was ended."""
        each, size = self._ledger.segment_records, self._ledger.size(tag)
        end = max(size // each * each, self._ended.get(tag, 0))
        cold = self._ledger.cold.get(tag, set())
        return [
            SegmentInfo(first, min(first + each, end), first in cold, None)
            for first in range(0, end, each)
        ]

    def cool(self, tag: str, first: int, drop: Mapping[int, str]) -> None:
        """Drop records and call the segment cold."""
        gone = self._ledger.dropped.setdefault(tag, {})
        for index, sweep in drop.items():
            gone.setdefault(index, Dropped(leaf_hash(self._ledger.kept[tag][index]), sweep))
        self._ledger.cold.setdefault(tag, set()).add(first)

    def close(self) -> None:
        """Nothing is held."""


def check_keeper(
    open_shard: Callable[[], LedgerShard], reader: LedgerReader, keeper: LedgerKeeper
) -> None:
    """Conformance of a keeper over a fresh ledger whose segments end after a few records.

    Raises:
        AssertionError: it breaks a rule of the port.
    """
    records = [b'{"kind":"act","at":%d,"act":"label","pad":"%060d"}' % (i, i) for i in range(45)]
    shard = open_shard()
    for start in range(0, len(records), 5):
        shard.append(records[start : start + 5])
        shard.commit()
    tag, root = shard.tag, shard.root()
    leaves = list(reader.leaf_hashes(tag))
    held = keeper.closed(tag)
    shard.close()
    same(keeper.settle(), [])
    keeper.end_segments({"label": 1_000})
    closed = keeper.closed(tag)
    same(closed[: len(held)], held)
    same(next((info.first, info.is_cold) for info in closed), (0, False))
    same(closed[-1].stop, len(records))
    drop = {index: "5eed" for index in range(closed[0].stop) if index % 3}
    keeper.cool(tag, 0, drop)
    keeper.cool(tag, closed[1].first, {})
    entries = list(reader.entries(tag))
    same(
        [entry.sweep if isinstance(entry, Dropped) else entry for entry in entries],
        [drop.get(index, record) for index, record in enumerate(records)],
    )
    same(list(reader.records(tag)), [r for i, r in enumerate(records) if i not in drop])
    same(list(reader.records(tag, 3, 9)), [records[3], records[6]])
    same(list(reader.leaf_hashes(tag)), leaves)
    refused(DataError, lambda: reader.record(tag, 1))
    for index in (3, closed[1].first, len(records) - 1):
        same(reader.record(tag, index), records[index])
    same([info.is_cold for info in keeper.closed(tag)][:2], [True, True])
    keeper.cool(tag, 0, {1: "again", 3: "again"})  # what one sweep dropped stays that one's
    entries = list(reader.entries(tag, 0, 4))
    same([e.sweep for e in entries if isinstance(e, Dropped)], ["5eed", "5eed", "again"])
    again = open_shard()
    same((again.tag, again.size, again.root()), (tag, len(records), root))
    again.close()
