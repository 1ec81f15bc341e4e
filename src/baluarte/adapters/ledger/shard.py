"""The writer of one shard: append, then commit; acknowledged is durable."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from baluarte.adapters.disk import LOCAL, outside
from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.files import ShardFiles
from baluarte.adapters.ledger.frames import HEADER, MAX_RECORD_BYTES
from baluarte.adapters.ledger.head import Head
from baluarte.adapters.ledger.layout import segments
from baluarte.adapters.ledger.recover import Recovery, recover
from baluarte.core.leaves import Records, seal
from baluarte.core.merkle import leaf_hashes
from baluarte.errors import OutsideError
from baluarte.ports import Disk, Room

SEGMENT_BYTES = 16 << 20  #: room that is reserved ahead, and where a segment ends
SEGMENT_AGE_S = 86_400.0  #: after which one ends even so, so that retention can reach its records


class SegmentShard:
    """One shard, held by this process alone until :meth:`close`.

    ``append`` may be called from one thread while ``commit`` runs in another: a commit makes
    durable all that was queued when it began, so callers that wait together share one fdatasync.
    After any failure to write nothing more is accepted: open the shard again, which recovers it.

    Args:
        folder: the shard's folder; its name is the tag.
        lock: descriptor of the shard's lock file, locked; closed with the shard.
        segment_bytes: size at which a segment ends; a larger record has a segment of its own.
        segment_age_s: for how long this process writes to one segment.
        in_turn: prepare the next segment within the commit that needs it, not beside the next ones.
    """

    def __init__(
        self,
        folder: Path,
        lock: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age_s: float = SEGMENT_AGE_S,
        disk: Disk = LOCAL,
        in_turn: bool = False,
    ) -> None:
        self._folder, self._segment_bytes = folder, segment_bytes
        self._segment_age_s, self._began_s = segment_age_s, time.monotonic()
        self._queue: list[Records] = []
        self._queueing = threading.Lock()
        self._writing = threading.Lock()
        self._failed: OutsideError | None = None
        self._closed = False
        self._files = ShardFiles(folder, lock, disk, segment_bytes=segment_bytes, in_turn=in_turn)
        try:
            with outside("the ledger's shard can't be opened", folder):
                self._head, self.recovered = self._recover(disk)
                self._frontier = self._head.frontier()
                self._queued = self._head.size
        except BaseException:
            self._files.close()
            raise

    @property
    def tag(self) -> str:
        """The shard's stable tag: six hex digits."""
        return self._folder.name

    @property
    def size(self) -> int:
        """Records so far, durable or not; the next record's index."""
        return self._queued

    @property
    def committed(self) -> int:
        """Records that are durable."""
        return self._head.size

    def append(self, records: Sequence[bytes]) -> int:
        """Queue records and return the first one's index. Not durable until :meth:`commit`.

        Raises:
            OutsideError: an earlier commit failed; nothing was queued.
            ValueError: a record is empty or too large; nothing was queued.
        """
        together = records if isinstance(records, Records) else Records.of(records)
        if not together.fit(MAX_RECORD_BYTES):
            raise ValueError(f"a record has 1 to {MAX_RECORD_BYTES} bytes")
        with self._queueing:
            self._refuse_if_failed()
            first = self._queued
            self._queue.append(together)
            self._queued += len(together)
        return first

    def commit(self) -> None:
        """Make everything appended durable.

        Raises:
            OutsideError: no room or the disk failed, now or earlier; nothing after this is
                acknowledged.
        """
        with self._writing:
            self._refuse_if_failed()
            with self._queueing:
                batch, self._queue = self._queue, []
            if not batch:
                return
            try:
                with outside("the ledger can't be written", self._folder):
                    self._write(batch)
            except BaseException as error:
                self._failed = (
                    error
                    if isinstance(error, OutsideError)
                    else OutsideError("the ledger was interrupted", where=str(self._folder))
                )
                raise

    def end_segment(self) -> None:
        """Go on in a new segment; the one before can then be compressed, and swept when it is due.

        Raises:
            OutsideError: no room or the disk failed.
        """
        self.commit()
        with self._writing, outside("the ledger can't be written", self._folder):
            self._refuse_if_failed()
            self._end_segment()

    def room(self) -> Room:
        """The room that is left; where the next segment is not reserved, this tries again.

        Acts and gap records may be appended when decisions no more are: what is reserved is theirs.
        """
        return self._files.room(self._head.offset)

    def root(self) -> bytes:
        """32 bytes: the RFC 9162 tree head over all records, durable or not."""
        with self._writing, self._queueing:
            frontier = self._frontier.copy()
            frontier.extend(leaf_hashes(_apart(self._queue)))
        return frontier.root()

    def close(self) -> None:
        """Commit, release the room reserved ahead, and give up the lock; again is nothing."""
        if self._closed:
            return
        try:
            if self._failed is None:
                self.commit()
                with outside("the ledger's shard can't be closed", self._folder):
                    self._files.finish(self._head)
        finally:
            self._closed = True
            self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- within -----------------------------------------------------------------------------

    def _refuse_if_failed(self) -> None:
        if self._closed:
            raise OutsideError("the ledger's shard is closed", where=str(self._folder))
        failed = self._failed or self._files.failed
        if failed is not None:
            raise OutsideError(
                "the ledger takes no records since a write failed",
                where=str(self._folder),
                hint="Make room or repair the disk, then start again: the shard recovers itself.",
            ) from failed

    def _recover(self, disk: Disk) -> tuple[Head, Recovery]:
        if not segments(self._folder, disk) and heads.read(self._folder / "head", disk) is None:
            self._files.first_segment()
        end, recovered = recover(self._folder, disk)
        end = replace(end, generation=end.generation + 1)
        self._files.begin(end)
        return end, recovered

    def _end_segment(self) -> None:
        if self._head.offset:
            self._advance(segment=self._head.size, offset=0)
            self._files.rotate(self._head)
        self._began_s = time.monotonic()

    def _write(self, batch: Sequence[Records]) -> None:
        if time.monotonic() - self._began_s > self._segment_age_s:
            self._end_segment()
        room = self._segment_bytes - self._head.offset
        if sum(each.framed_bytes for each in batch) <= room:
            self._flush(batch)
            return
        records, start = _apart(batch), 0
        for number, record in enumerate(records):
            room -= HEADER.size + len(record)
            if room < 0 and self._head.offset + number - start > 0:
                self._flush([Records.of(records[start:number])])
                self._end_segment()
                start = number
                room = self._segment_bytes - HEADER.size - len(record)
        self._flush([Records.of(records[start:])])

    def _flush(self, batch: Sequence[Records]) -> None:
        """Write, fdatasync, then the index and the head: the order that recovery relies on."""
        if not any(map(len, batch)):
            return
        begin = self._head.offset
        sealed = seal(batch, offset=begin, frontier=self._frontier)
        self._files.write(sealed.frames, begin)
        self._files.write_index(sealed.entries, self._head.size - self._head.segment)
        self._advance(segment=self._head.segment, offset=begin + len(sealed.frames))
        self._files.write_head(self._head)

    def _advance(self, *, segment: int, offset: int) -> None:
        self._head = Head(
            generation=self._head.generation + 1,
            size=self._frontier.size,
            segment=segment,
            offset=offset,
            peaks=self._frontier.peaks,
        )


def _apart(batch: Sequence[Records]) -> list[bytes]:
    return [record for each in batch for record in each]
