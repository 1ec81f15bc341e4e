"""The files of a shard that its writer holds open, and the room that is reserved ahead.

A segment's successor is prepared before it is needed: ``spare`` is a file whose room is reserved,
and it becomes the next segment by its name alone. So a commit that begins a segment waits for two
syncs, and a full disk is known a whole segment before anything must be refused. Who writes a few
acts never asks for it: the first spare is made when :meth:`ShardFiles.room` or a second segment
wants one.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from baluarte.adapters.ledger import head as heads
from baluarte.adapters.ledger.head import Head
from baluarte.adapters.ledger.layout import ENTRY_BYTES, index_path, segment_path, spare_path
from baluarte.ports import Disk, Room


class ShardFiles:
    """Segment, index and head of one shard, open for its writer.

    Args:
        lock: descriptor of the shard's lock file, locked; closed with the rest.
        in_turn: do the upkeep within :meth:`rotate`, not in a thread beside the next commits.
    """

    def __init__(
        self, folder: Path, lock: int, disk: Disk, *, segment_bytes: int, in_turn: bool
    ) -> None:
        self._folder, self._disk = folder, disk
        self._segment_bytes, self._in_turn = segment_bytes, in_turn
        self._lock = lock
        self._segment = self._index = self._head = -1
        self._index_is_whole = True
        self._anchors = 0
        self._upkeep = threading.Lock()  #: held while the spare or the anchors are worked on
        self._has_spare = False
        self.failed: OSError | None = None  #: of the upkeep; the shard must be opened again

    # --- opening ----------------------------------------------------------------------------

    def first_segment(self) -> None:
        """Make the segment of a new shard."""
        self._disk.close(self._reserved(segment_path(self._folder, 0)))

    def begin(self, head: Head) -> None:
        """Open what the writer goes on with after a recovery that ended in ``head``."""
        disk, folder = self._disk, self._folder
        self._segment = disk.open_existing(segment_path(folder, head.segment), write=True)
        disk.reserve(self._segment, self._segment_bytes)
        disk.sync(self._segment)
        self._index = disk.open_or_new(index_path(folder, head.segment))
        try:
            self._head = disk.open_existing(folder / "head", write=True)
        except FileNotFoundError:
            self._make_head(head)
            self._head = disk.open_existing(folder / "head", write=True)
        heads.write(self._head, head, disk)
        self._anchor(head)
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(spare_path(folder))

    def _make_head(self, head: Head) -> None:
        aside = self._folder / ".head"
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(aside)
        descriptor = self._disk.open_new(aside)
        try:
            self._disk.write_at(descriptor, heads.first_file(head), 0)
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.rename(aside, self._folder / "head")
        self._disk.sync_folder(self._folder)

    def _reserved(self, path: Path) -> int:
        descriptor = self._disk.open_new(path)
        try:
            self._disk.reserve(descriptor, self._segment_bytes)
            self._disk.sync(descriptor)
            self._disk.sync_folder(self._folder)
        except BaseException:
            self._disk.close(descriptor)
            with contextlib.suppress(OSError):
                self._disk.unlink(path)
            raise
        return descriptor

    # --- writing ----------------------------------------------------------------------------

    def write(self, frames: bytes, offset: int) -> None:
        """Write frames and make them durable."""
        self._disk.write_at(self._segment, frames, offset)
        self._disk.datasync(self._segment)

    def write_index(self, entries: bytes, position: int) -> None:
        """Write entries of records from ``position`` of the segment on.

        The index can be made again, so a disk without room for it doesn't refuse what is durable.
        """
        if self._index_is_whole:
            try:
                self._disk.write_at(self._index, entries, position * ENTRY_BYTES)
            except OSError:
                self._index_is_whole = False
                self._disk.truncate(self._index, position * ENTRY_BYTES)

    def write_head(self, head: Head) -> None:
        """Say how far the shard is committed."""
        heads.write(self._head, head, self._disk)

    def rotate(self, head: Head) -> None:
        """Begin the segment of ``head``; the one before is whole and its index becomes durable."""
        disk, folder = self._disk, self._folder
        disk.datasync(self._index)
        with self._upkeep:
            if not self._has_spare:
                disk.close(self._reserved(spare_path(folder)))
            self._has_spare = False
            disk.rename(spare_path(folder), segment_path(folder, head.segment))
            disk.sync_folder(folder)
            before = self._segment, self._index
            self._segment = disk.open_existing(segment_path(folder, head.segment), write=True)
            self._index = disk.open_or_new(index_path(folder, head.segment))
            self._index_is_whole = True
            for descriptor in before:
                disk.close(descriptor)
        self.write_head(head)
        if self._in_turn:
            self._keep_up(head)
        else:
            threading.Thread(target=self._keep_up, args=(head,), daemon=True).start()

    def _keep_up(self, head: Head) -> None:
        with self._upkeep:
            if self._head < 0:
                return  # closed meanwhile
            try:
                self._anchor(head)
            except OSError as error:
                self.failed = error
                return
            if not self._has_spare:
                self._prepare()

    def _anchor(self, head: Head) -> None:
        heads.anchor(self._head, head, self._anchors, self._disk)
        self._anchors += 1

    def _prepare(self) -> None:
        """Reserve the next segment; without room the shard still goes on in this one."""
        try:
            self._disk.close(self._reserved(spare_path(self._folder)))
        except OSError:
            return
        self._has_spare = True

    def room(self, offset: int) -> Room:
        """The room that is left after ``offset`` in this segment, and beside it."""
        with self._upkeep:
            if not self._has_spare and self._head >= 0:
                self._prepare()
            spare = self._segment_bytes if self._has_spare else 0
            return Room(
                free_bytes=self._disk.free_bytes(self._folder),
                reserved_bytes=max(0, self._segment_bytes - offset) + spare,
                next_is_reserved=self._has_spare,
            )

    # --- closing ----------------------------------------------------------------------------

    def finish(self, head: Head) -> None:
        """Leave everything durable, and give back the room reserved ahead."""
        disk = self._disk
        with self._upkeep:
            disk.truncate(self._segment, head.offset)
            disk.sync(self._segment)
            disk.sync(self._index)
            self._anchor(head)
            with contextlib.suppress(FileNotFoundError):
                disk.unlink(spare_path(self._folder))
            self._has_spare = False

    def close(self) -> None:
        """Close all files; the lock goes with its own."""
        with self._upkeep:
            for descriptor in (self._segment, self._index, self._head, self._lock):
                if descriptor >= 0:
                    self._disk.close(descriptor)
            self._segment = self._index = self._head = self._lock = -1
