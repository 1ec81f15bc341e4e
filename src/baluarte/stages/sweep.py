"""Sweep: compress what is closed, drop what is past its retention, and record what was dropped.

The act stands in the ledger before a record goes, with the digest of the leaves that it drops; a
sweep that was interrupted has announced more than it did, and the next one finishes it under an act
of its own.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from baluarte.core.decision import ActRecord
from baluarte.core.merkle import leaf_hash
from baluarte.core.retention import (
    CLASSES,
    DAY_US,
    Dropped,
    DroppedDigest,
    RecordClass,
    Retention,
    stamp_of,
)
from baluarte.errors import DataError
from baluarte.ports import Clock, LedgerKeeper, LedgerReader, LedgerShard, SegmentInfo

_MAX_QUIET_DAYS = 366  #: after which it is likelier that the clock is wrong
_ID_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """What a sweep did, or would do."""

    settled: tuple[str, ...]  #: shards without an owner that were recovered
    cooled: int  #: segments that were compressed
    dropped: Mapping[RecordClass, int]  #: records, by class
    rewritten: int  #: segments that records were dropped from


def sweep(
    reader: LedgerReader,
    keeper: LedgerKeeper,
    open_shard: Callable[[], LedgerShard],
    *,
    retention: Retention,
    cold_after_days: int,
    clock: Clock,
    actor: str,
    idle: bool = False,
    dry_run: bool = False,
) -> SweepReport:
    """Compress closed segments, and drop their records that are past their retention.

    Args:
        open_shard: where the acts are recorded; called when there is something to drop.
        cold_after_days: a closed segment is compressed when all of its records are older.
        idle: the newest record may be older than a year.

    Raises:
        DataError: the clock is before the newest record, or more than a year after it.
        TrustError: a record is damaged; nothing of its segment was changed.
    """
    now = clock.now_us()
    cutoffs = retention.cutoffs(now)
    cold_before = now - cold_after_days * DAY_US
    if cutoffs:
        _check_clock(reader, now, idle=idle)
    old: dict[RecordClass, int] = {kind: cutoffs.get(kind, cold_before) for kind in CLASSES}
    settled: list[str] = []
    if not dry_run:
        settled = keeper.settle()
        keeper.end_segments(old)
    work = _Work(
        reader=reader,
        keeper=keeper,
        open_shard=open_shard,
        cutoffs=cutoffs,
        cold_before=cold_before,
        now=now,
        actor=actor,
        dry_run=dry_run,
    )
    try:
        for tag in reader.shards():
            for segment in keeper.closed(tag):
                work.take(tag, segment)
    finally:
        work.close()
    return SweepReport(
        settled=tuple(settled),
        cooled=work.cooled,
        dropped=dict(work.dropped),
        rewritten=work.rewritten,
    )


def _check_clock(reader: LedgerReader, now: int, *, idle: bool) -> None:
    newest = 0
    for tag in reader.shards():
        size = reader.size(tag)
        for record in reader.records(tag, max(0, size - 100)):
            newest = max(newest, stamp_of(record)[1])
    if newest > now + DAY_US:
        raise DataError(
            "the clock is more than a day before the newest record: nothing was dropped",
            hint="Set the machine's clock right.",
        )
    if newest and now - newest > _MAX_QUIET_DAYS * DAY_US and not idle:
        raise DataError(
            f"the newest record is {(now - newest) // DAY_US:,} days old: nothing was dropped",
            hint="If the clock is right and nothing was recorded since, add --idle.",
        )


@dataclass(kw_only=True)
class _Work:
    """One pass over all closed segments."""

    reader: LedgerReader
    keeper: LedgerKeeper
    open_shard: Callable[[], LedgerShard]
    cutoffs: Mapping[RecordClass, int]
    cold_before: int
    now: int
    actor: str
    dry_run: bool
    cooled: int = 0
    rewritten: int = 0
    dropped: Counter[RecordClass] = field(default_factory=Counter)
    shard: LedgerShard | None = None

    def take(self, tag: str, segment: SegmentInfo) -> None:
        """Drop what is due in a segment; compress it when it is old."""
        if segment.oldest is not None and not self._any_due(segment.oldest):
            return
        entries = list(self.reader.entries(tag, segment.first, segment.stop))
        due: dict[int, RecordClass] = {}
        newest = 0
        digest = DroppedDigest()
        for index, entry in enumerate(entries, segment.first):
            if isinstance(entry, Dropped):
                continue
            kind, at = stamp_of(entry)
            newest = max(newest, at)
            if kind is not None and at < self.cutoffs.get(kind, 0):
                due[index] = kind
                digest.add(index, leaf_hash(entry))
        if due:
            self._drop(tag, segment, due, digest)
        elif not segment.is_cold and newest < self.cold_before:
            self.cooled += 1
            if not self.dry_run:
                self.keeper.cool(tag, segment.first, {})

    def _any_due(self, oldest: Mapping[RecordClass, int]) -> bool:
        return any(at < self.cutoffs.get(kind, 0) for kind, at in oldest.items())

    def _drop(
        self, tag: str, segment: SegmentInfo, due: Mapping[int, RecordClass], digest: DroppedDigest
    ) -> None:
        counts = Counter(due.values())
        self.dropped += counts
        self.rewritten += 1
        if self.dry_run:
            return
        sweep_id = secrets.token_hex(_ID_BYTES)
        act = ActRecord(
            at=self.now,
            act="sweep",
            actor=self.actor,
            detector="",
            reason="retention",
            details={
                "sweep": sweep_id,
                "shard": tag,
                "first": segment.first,
                "last": segment.stop - 1,
                "dropped": digest.count,
                "digest": digest.hexdigest(),
                **{f"n_{kind}": n for kind, n in sorted(counts.items())},
            },
        )
        if self.shard is None:
            self.shard = self.open_shard()
        self.shard.append([msgspec.json.encode(act)])
        self.shard.commit()
        self.keeper.cool(tag, segment.first, dict.fromkeys(due, sweep_id))

    def close(self) -> None:
        """Give up the shard that the acts went to."""
        if self.shard is not None:
            self.shard.close()


def unaccounted(
    dropped: Mapping[str, tuple[str, DroppedDigest]], acts: Mapping[str, ActRecord]
) -> list[str]:
    """Ids of sweeps by which records are gone that no act accounts for, exactly.

    Args:
        dropped: by sweep: the shard, and the digest over what is gone there.
        acts: the ``sweep`` acts of the ledger by their sweep.
    """
    wrong = []
    for sweep_id, (tag, digest) in sorted(dropped.items()):
        said = acts[sweep_id].details if sweep_id in acts else {}
        found = {"shard": tag, "dropped": digest.count, "digest": digest.hexdigest()}
        if any(said.get(key) != value for key, value in found.items()):
            wrong.append(sweep_id)
    return wrong
