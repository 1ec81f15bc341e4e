"""Index: bring the index over the ledger up to what the ledger holds; a reader's work.

The ledger is the truth. What the index knows of a shard is one transaction a part of it: rows, and
how far they go. After a crash it goes on from there; where the shard is no longer the one that was
read, as after a restore, what is known of it is dropped and read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from baluarte.core.decision_index import IndexedDecision, IndexMark, event_key
from baluarte.core.merkle import leaf_hash
from baluarte.core.retention import Dropped
from baluarte.ports import DecisionIndex, LedgerReader, Progress

_PART = 4_096  #: records that are taken in together
_DECISION = b'{"kind":"decision"'  #: how a decision's JSON begins: a record's kind is its first key


class _Decided(msgspec.Struct, gc=False):
    """What a decision's record says that the index keeps."""

    event_id: str
    event_at: int
    decided_at: int
    detector: str
    version: int
    score: int
    points: int
    band: int
    outcome: str
    role: Literal["champion", "challenger"] = "champion"


_decode = msgspec.json.Decoder(_Decided).decode


@dataclass(slots=True, kw_only=True)
class Refreshed:
    """What was done."""

    records: int = 0  #: read
    decisions: int = 0  #: of them
    again: list[str] = field(default_factory=list)  #: shards that were dropped, read again or gone


def refresh(
    index: DecisionIndex, reader: LedgerReader, *, progress: Progress | None = None
) -> Refreshed:
    """Read what is new; several processes may, and one of them takes each part in.

    Raises:
        TrustError: a committed record is missing or damaged.
        OutsideError: the index or the ledger is away.
    """
    done, marks = Refreshed(), index.marks()
    sizes = {tag: reader.size(tag) for tag in reader.shards()}
    for tag in sorted(marks.keys() - sizes.keys()):
        index.forget(tag)
        done.again.append(tag)
    for tag, mark in marks.items():
        if tag in sizes and not _is_same(reader, tag, mark, sizes[tag]):
            index.forget(tag)
            done.again.append(tag)
    known = index.marks() if done.again else marks
    total = sum(sizes.values()) - sum(mark.size for mark in known.values())
    for tag, size in sizes.items():
        start = known[tag].size if tag in known else 0
        while start < size:
            stop = min(start + _PART, size)
            found, mark = _part(reader, tag, start, stop)
            if not index.add(tag, start=start, mark=mark, decisions=found):
                start = index.marks()[tag].size  # another process was quicker
                continue
            done.records += stop - start
            done.decisions += len(found)
            start = stop
            if progress is not None:
                progress.step(done.records, total)
    return done


def rebuild(
    index: DecisionIndex, reader: LedgerReader, *, progress: Progress | None = None
) -> Refreshed:
    """Drop all that is known and read the whole ledger."""
    forget(index)
    return refresh(index, reader, progress=progress)


def forget(index: DecisionIndex) -> None:
    """Drop all that is known; the next reader reads what the ledger still holds."""
    for tag in index.marks():
        index.forget(tag)


def _part(
    reader: LedgerReader, tag: str, start: int, stop: int
) -> tuple[list[IndexedDecision], IndexMark]:
    """The decisions among some records of a shard, and the mark after them."""
    found: list[IndexedDecision] = []
    leaf = b""
    for place, entry in enumerate(reader.entries(tag, start, stop), start):
        if isinstance(entry, Dropped):
            leaf = entry.leaf
            continue
        if place == stop - 1:
            leaf = leaf_hash(entry)
        if entry.startswith(_DECISION):
            one = _decode(entry)
            found.append(
                IndexedDecision(
                    tag=tag,
                    index=place,
                    event=event_key(one.event_id),
                    detector=one.detector,
                    version=one.version,
                    role=one.role,
                    decided_at=one.decided_at,
                    event_at=one.event_at,
                    band=one.band,
                    outcome=one.outcome,
                    score=one.score,
                    points=one.points,
                )
            )
    return found, IndexMark(size=stop, leaf=leaf)


def _is_same(reader: LedgerReader, tag: str, mark: IndexMark, size: int) -> bool:
    """Whether the shard still holds what was read last."""
    if mark.size > size:
        return False
    (last,) = reader.entries(tag, mark.size - 1, mark.size)
    return (last.leaf if isinstance(last, Dropped) else leaf_hash(last)) == mark.leaf
